"""Entries of the cache: whole or made again, whatever happened to them, with one line that says so."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.harness.system import entries, files, storage
from mlperf_docker.harness.system.entries import Unfit, check, entry, seal

MADE_FROM = {"set": "numbers-1"}


class Maker:
    """Fills an entry, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "data").mkdir()
        (folder / "data/first").write_bytes(bytes(range(256)) * 64)
        (folder / "second").write_bytes(b"two")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache/entry"


def as_made(folder: Path) -> bool:
    return (folder / "data/first").read_bytes() == bytes(range(256)) * 64 and (folder / "second").read_bytes() == b"two"


def flip(path: Path, at: int = 10) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def unseen(path: Path) -> None:
    """Other contents of the same size, with the old time of modification."""
    status = path.stat()
    flip(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replaced(put: Callable[[Path], None]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        put(path)

    return replace


def away(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def other_record(path: Path) -> None:
    entries.write_checked(path, {"made_from": {"set": "numbers-0"}, "whole": True, "files": {}})


def later_record(path: Path) -> None:
    entries.write_checked(path, {"made_from": MADE_FROM, "contents": []})


DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    *(("data/first", damage) for damage in (flip, unseen, emptied, cut, Path.unlink, replaced(Path.mkdir))),
    *(("entry.json", damage) for damage in (flip, emptied, cut, Path.unlink, other_record, later_record)),
    ("entry.json", lambda path: path.write_bytes(b"[" * 100_000)),
    ("entry.json", lambda path: path.write_bytes(b"[]")),
    ("data/first", replaced(os.mkfifo)),
    ("entry.json", replaced(os.mkfifo)),
    ("second", away),
    ("data", away),
    ("data/third", Path.touch),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_entry_is_made_again_with_a_word(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str, damage: Callable[[Path], object]
) -> None:
    make = Maker()
    entry(folder, MADE_FROM, make)
    assert not caplog.records
    damage(folder / name)
    assert as_made(entry(folder, MADE_FROM, make))
    (record,) = caplog.records
    assert f"The cache entry {folder} is made again: " in record.getMessage()
    assert as_made(entry(folder, MADE_FROM, make))
    assert make.times == 2
    assert {path.name for path in folder.parent.iterdir()} <= {"entry", "entry.lock", "elsewhere"}


def test_a_good_entry_is_made_once_and_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    entry(folder, MADE_FROM, make)
    monkeypatch.setattr(files, "crc32", None)
    assert as_made(entry(folder, MADE_FROM, make))
    assert make.times == 1


def test_a_copied_entry_is_compared_once(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    copy = tmp_path / "elsewhere/entry"
    shutil.copytree(entry(folder, MADE_FROM, make), copy)
    assert as_made(entry(copy, MADE_FROM, make))
    monkeypatch.setattr(files, "crc32", None)
    assert as_made(entry(copy, MADE_FROM, make))
    assert make.times == 1


def test_new_times_that_cannot_be_noted_are_compared_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Maker()
    (entry(folder, MADE_FROM, make) / "second").chmod(0o600)

    def full(path: Path, data: bytes) -> None:
        raise storage.no_space(path.parent)

    monkeypatch.setattr(files, "write_atomically", full)
    assert as_made(entry(folder, MADE_FROM, make))
    assert make.times == 1


def test_a_file_in_place_of_an_entry_is_replaced(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where the folder belongs")
    (folder.parent / "entry.partial").mkdir()
    (folder.parent / "entry.partial/first").write_text("left by a kill")
    assert as_made(entry(folder, MADE_FROM, Maker()))
    assert {path.name for path in folder.parent.iterdir()} == {"entry", "entry.lock"}


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo])
def test_a_lock_that_is_no_file_keeps_nobody_waiting(folder: Path, put: Callable[[Path], None]) -> None:
    folder.parent.mkdir()
    put(folder.with_suffix(".lock"))
    assert as_made(entry(folder, MADE_FROM, Maker()))


def test_an_entry_that_fails_leaves_nothing(folder: Path) -> None:
    def make(partial: Path) -> None:
        (partial / "first").write_text("1")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (the one raised above)
        entry(folder, MADE_FROM, make)
    assert [path.name for path in folder.parent.iterdir()] == ["entry.lock"]


@pytest.mark.parametrize("locks", [True, False])
def test_an_entry_that_many_want_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch, *, locks: bool) -> None:
    """Threads have the same process number, so that without locks each takes its own name here."""
    own = iter(f"machine-{number}" for number in range(10**6))
    monkeypatch.setattr(files, "_own_name", lambda: next(own))
    if not locks:
        monkeypatch.setattr(storage, "lock", lambda descriptor, *, wait: False)
    makers, found = [Maker() for _ in range(8)], []
    threads = [
        threading.Thread(target=lambda make=make: found.append(as_made(entry(folder, MADE_FROM, make))))
        for make in makers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert (sum(make.times for make in makers) == 1) or not locks
    assert {path.name for path in folder.parent.iterdir()} == {"entry", "entry.lock"}


def test_a_record_of_some_files_leaves_the_others_alone(tmp_path: Path) -> None:
    for name in ("kept", "other"):
        (tmp_path / name).write_text(name)
    seal(tmp_path, {"days": 2}, ["kept"], record="kept.json")
    (tmp_path / "other").write_text("changed")
    check(tmp_path, {"days": 2}, record="kept.json")
    with pytest.raises(Unfit, match="made from something else"):
        check(tmp_path, {"days": 3}, record="kept.json")
    flip(tmp_path / "kept", 0)
    with pytest.raises(Unfit, match="kept is damaged"):
        check(tmp_path, {"days": 2}, record="kept.json")


def test_an_entry_is_synced_before_it_is_renamed(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def synced(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(act: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def step(path: Path, target: Path) -> Path:
            steps.append(f"rename {target.name}")
            return act(path, target)

        return step

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed(replace))
    monkeypatch.setattr(Path, "rename", renamed(rename))
    files.write_atomically(tmp_path / "note", b"1")
    assert [step.split(" ")[0] for step in steps] == ["sync", "rename", "sync"]
    assert steps[1:] == ["rename note", f"sync {tmp_path.name}"]
    steps.clear()
    entry(folder, MADE_FROM, Maker())
    at = steps.index("rename entry")
    assert {"sync first", "sync second", "sync data", "sync entry.partial"} <= set(steps[:at])
    assert steps[at + 1 :] == [f"sync {folder.parent.name}"]


def test_a_record_tells_sizes_and_checksums(folder: Path) -> None:
    entry(folder, MADE_FROM, Maker())
    written = json.loads((folder / "entry.json").read_text())
    assert written["files"]["second"][:2] == [3, files.crc32(folder / "second")]
