"""Preprocessed samples that were damaged, half made, or made of other files: never used, and only those made again."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.samples import kept
from mlperf_docker.harness.samples.kept import RECORD, KeptSamples
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.samples.preprocessing import cached
from mlperf_docker.harness.system import entries, files, storage

COUNT = 40


class Reader:
    """Makes a sample of the first bytes of a file, repeated; remembers which. Some samples have no bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[int] = []
        self.stop_at: int | None = None

    def prepare(self) -> None:
        """Import nothing."""

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Raises BadSample for a file that says so, and something else where it is told to stop."""
        if index == self.stop_at:
            raise KeyboardInterrupt
        data = (self.folder / str(index)).read_bytes()
        if data.startswith(b"bad"):
            raise BadSample("it is bad")
        out[:] = np.resize(np.frombuffer(data, dtype=np.uint8), out.shape).astype(out.dtype)
        self.made.append(index)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for index in range(COUNT):
        (folder / str(index)).write_bytes(np.random.default_rng(index).bytes(64))
    return folder


@pytest.fixture
def reader(data: Path) -> Reader:
    return Reader(data)


@pytest.fixture(params=["rows", "shapes", "nothing"])
def job(request: pytest.FixtureRequest, reader: Reader) -> Preparation:
    """Samples of one shape, of many, and such as only stand for a look at their files."""
    paths = [(str(reader.folder / str(index)),) for index in range(COUNT)]
    names, sizes = [path for (path,) in paths], [64] * COUNT
    shape = {"rows": (3, 50), "shapes": (), "nothing": (0,)}[request.param]
    shapes = [(index % 5 + 1, 40) for index in range(COUNT)] if request.param == "shapes" else []
    return Preparation(
        "identity", f"version-{request.param}", names, sizes, shape, "float32", reader, paths, shapes, chunk=4
    )


def silent(done: int, total: int, unit: str) -> None:
    pass


def made(job: Preparation, cache: Path) -> KeptSamples:
    return cached(job, cache, workers=1, report=silent)


def right(found: KeptSamples, data: Path) -> bool:
    for index, sample in enumerate(found):
        raw = np.frombuffer((data / str(index)).read_bytes(), dtype=np.uint8)
        if not np.array_equal(sample, np.resize(raw, sample.shape).astype(np.float32)):
            return False
    return len(found) == COUNT


def entry_of(job: Preparation, cache: Path) -> Path:
    return cache / "preprocessed" / job.key


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(data)


def test_every_damaged_byte_of_samples_is_noticed_and_only_its_sample_made(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(job, tmp_path)
    if not job.bytes:
        return
    rng, path = np.random.default_rng(1), entry_of(job, tmp_path) / "data.npy"
    for at in rng.integers(len(kept.header(job)), path.stat().st_size, 30):
        reader.made.clear()
        caplog.clear()
        flip(path, int(at))
        assert right(made(job, tmp_path), data)
        assert len(reader.made) == 1
        (notice,) = caplog.records
        assert "is damaged" in notice.getMessage()
        reader.made.clear()
        assert right(made(job, tmp_path), data)
        assert not reader.made


def test_every_damaged_record_is_noticed(job: Preparation, reader: Reader, data: Path, tmp_path: Path) -> None:
    made(job, tmp_path)
    path = entry_of(job, tmp_path) / "checks"
    for at in range(0, path.stat().st_size, 7):
        reader.made.clear()
        flip(path, at)
        assert right(made(job, tmp_path), data)
        assert len(reader.made) <= 1


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def longer(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_shape(path: Path) -> None:
    flip(path, 60)


def older(path: Path) -> None:
    if path.name == "index.json":
        path.write_text('{"version": "version-0", "count": 40}')
    else:
        path.unlink()


@pytest.mark.parametrize("name", ["data.npy", "checks", "index.json"])
@pytest.mark.parametrize("damage", [zeroed, cut, longer, emptied, pipe, link, folder, other_shape, older])
def test_a_damaged_entry_gives_the_right_samples(
    job: Preparation, data: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    made(job, tmp_path)
    damage(entry_of(job, tmp_path) / name)
    assert right(made(job, tmp_path), data)
    assert right(made(job, tmp_path), data)


def test_samples_of_files_that_changed_are_made_again(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path
) -> None:
    """Of the same size, at the same time of modification: nothing else tells."""
    made(job, tmp_path)
    status = (data / "7").stat()
    (data / "7").write_bytes(bytes(64))
    os.utime(data / "7", ns=(status.st_atime_ns, status.st_mtime_ns))
    reader.made.clear()
    assert right(made(job, tmp_path), data)
    assert reader.made == [7]


def test_files_that_were_only_touched_are_compared_once(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(job, tmp_path)
    for path in data.iterdir():
        path.chmod(0o600)
    reader.made.clear()
    assert right(made(job, tmp_path), data)
    monkeypatch.setattr(kept, "source", None)
    assert right(made(job, tmp_path), data)
    assert not reader.made


def test_new_times_that_cannot_be_noted_are_looked_at_again(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(job, tmp_path)
    (data / "0").chmod(0o600)
    reader.made.clear()

    def full(path: Path, data: bytes) -> None:
        raise storage.no_space(path.parent)

    monkeypatch.setattr(files, "write_atomically", full)
    assert right(made(job, tmp_path), data)
    assert not reader.made


def interrupted(job: Preparation, reader: Reader, cache: Path) -> Path:
    reader.stop_at = 20
    with pytest.raises(KeyboardInterrupt):
        made(job, cache)
    reader.stop_at = None
    reader.made.clear()
    return entry_of(job, cache).with_suffix(".partial")


def test_an_interrupted_entry_goes_on_with_what_checks_out(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path
) -> None:
    partial = interrupted(job, reader, tmp_path)
    records = np.fromfile(partial / "checks", dtype=RECORD)
    assert np.count_nonzero(records["sum"]) == 20
    assert right(made(job, tmp_path), data)
    assert reader.made == list(range(20, COUNT))


def test_samples_that_never_reached_the_disk_are_made_again(
    job: Preparation, reader: Reader, data: Path, tmp_path: Path
) -> None:
    """After a crash of the machine: records are there, and zeros where samples should be."""
    partial = interrupted(job, reader, tmp_path)
    first = kept.header(job)
    (partial / "data.npy").write_bytes(first + bytes(job.bytes))
    assert right(made(job, tmp_path), data)
    assert reader.made == list(range(0 if job.bytes else 20, COUNT))


def test_records_of_samples_that_were_never_made(job: Preparation, reader: Reader, data: Path, tmp_path: Path) -> None:
    partial = interrupted(job, reader, tmp_path)
    (partial / "checks").write_bytes(b"\1" * (RECORD.itemsize * COUNT))
    assert right(made(job, tmp_path), data)
    assert reader.made == list(range(COUNT))


def test_an_entry_of_other_data_under_its_name(job: Preparation, data: Path, tmp_path: Path) -> None:
    other = replace(job, identity="other")
    made(other, tmp_path)
    entry_of(other, tmp_path).rename(entry_of(job, tmp_path))
    (data / "3").write_bytes(b"something else" * 5)
    assert right(made(job, tmp_path), data)


def test_a_damaged_sample_that_cannot_be_made_again(job: Preparation, data: Path, tmp_path: Path) -> None:
    if not job.bytes:
        return
    found = made(job, tmp_path)
    (data / "5").write_bytes(b"bad")
    zeroed(entry_of(job, tmp_path) / "data.npy")
    with pytest.raises(DatasetError, match="5 cannot be read: it is bad"):
        found[5]


def test_an_entry_that_cannot_be_written_is_put_right_in_memory(
    job: Preparation, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not job.bytes:
        return
    made(job, tmp_path)
    flip(entry_of(job, tmp_path) / "data.npy", len(kept.header(job)) + 9)
    before = (entry_of(job, tmp_path) / "data.npy").read_bytes()

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(KeptSamples, "_put_right", refused)
    assert right(made(job, tmp_path), data)
    assert (entry_of(job, tmp_path) / "data.npy").read_bytes() == before


def test_without_locks_many_make_one_entry(
    job: Preparation, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = iter(f"machine-{number}" for number in range(10**6))
    monkeypatch.setattr(files, "_own_name", lambda: next(own))
    monkeypatch.setattr(storage, "lock", lambda descriptor, *, wait: False)
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(right(made(job, tmp_path), data))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6
    assert sorted(path.name for path in (tmp_path / "preprocessed").iterdir()) == [job.key, f"{job.key}.lock"]


def test_an_entry_moves_with_its_cache(job: Preparation, reader: Reader, data: Path, tmp_path: Path) -> None:
    made(job, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    reader.made.clear()
    assert right(made(job, tmp_path / "two"), data)
    assert not reader.made


def test_the_index_has_a_checksum(job: Preparation, tmp_path: Path) -> None:
    made(job, tmp_path)
    assert entries.read_checked(entry_of(job, tmp_path) / "index.json") == job.index
