"""Archives that are right come out whole; those that are damaged, or would write elsewhere, leave nothing behind."""

import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import DatasetError, Interrupted
from mlperf_docker.inputs.datasets import unpacking
from tests.inputs.download.test_one import Quiet

FILES = {"Set/a/1.flac": b"first" * 100, "Set/a/2.flac": b"second" * 200, "Set/README.TXT": b"read me"}


def tarred(files: dict[str, bytes], mode: str = "w:gz", *extra: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1_400_000_000
            tar.addfile(member, io.BytesIO(content))
        for each in extra:
            tar.addfile(each)
    return stream.getvalue()


def zipped(files: dict[str, bytes], mode: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo("placeholder")
            member.filename = name  # as the file has it, whatever the constructor thinks of it
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return stream.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def unpack(folder: Path, content: bytes, kind: str = "tar", members: dict[str, str] | None = None) -> Path:
    """Unpack an archive of *content* in *folder*, and return the archive."""
    folder.mkdir(exist_ok=True)
    archive = folder / "set.archive"
    archive.write_bytes(content)
    unpacking.unpack(archive, kind, members or {}, folder, "md5 1", Quiet())
    return archive


def refused(folder: Path, content: bytes, kind: str = "tar", members: dict[str, str] | None = None) -> DatasetError:
    """Return why it was not unpacked, after a look that nothing came of it, in the folder or beside it."""
    before = set(folder.parent.rglob("*"))
    with pytest.raises(DatasetError) as caught:
        unpack(folder, content, kind, members)
    left = set(folder.parent.rglob("*")) - before
    assert left <= {folder, folder / "set.archive"}
    assert caught.value.exit_code is ExitCode.DATASET
    assert caught.value.hint
    assert not unpacking.is_unpacked(folder, "set.archive", "md5 1")
    return caught.value


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_tar_comes_out_as_it_is(tmp_path: Path, mode: str) -> None:
    unpack(tmp_path / "set", tarred(FILES, mode))
    assert {name: (tmp_path / "set" / name).read_bytes() for name in FILES} == FILES
    assert (tmp_path / "set/Set/README.TXT").stat().st_mtime == 1_400_000_000
    assert unpacking.is_unpacked(tmp_path / "set", "set.archive", "md5 1")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [".set.archive.unpacked", "Set", "set.archive"]


def test_a_zip_comes_out_as_it_is(tmp_path: Path) -> None:
    unpack(tmp_path / "set", zipped(FILES), "zip")
    assert {name: (tmp_path / "set" / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_only_the_members_that_are_wanted(tmp_path: Path, kind: str) -> None:
    content = (tarred if kind == "tar" else zipped)(FILES)
    unpack(tmp_path / "set", content, kind, {"2.flac": "labels/two"})
    assert (tmp_path / "set/labels/two").read_bytes() == FILES["Set/a/2.flac"]
    assert not (tmp_path / "set/Set").exists()


def test_a_changed_file_or_another_archive_counts_as_not_unpacked(tmp_path: Path) -> None:
    unpack(tmp_path / "set", tarred(FILES))
    assert not unpacking.is_unpacked(tmp_path / "set", "set.archive", "md5 2")
    (tmp_path / "set/Set/a/1.flac").write_bytes(b"cut")
    assert not unpacking.is_unpacked(tmp_path / "set", "set.archive", "md5 1")
    unpacking.record_of(tmp_path / "set", "set.archive").write_text("[]")
    assert not unpacking.is_unpacked(tmp_path / "set", "set.archive", "md5 1")


ESCAPES: dict[str, Callable[[Path], tuple[bytes, str]]] = {
    "tar, up": lambda _: (tarred({"ok": b"1", "../out": b"x"}), "tar"),
    "tar, up within": lambda _: (tarred({"ok": b"1", "a/../../out": b"x"}), "tar"),
    "tar, absolute": lambda folder: (tarred({"ok": b"1", f"{folder.parent}/out": b"x"}), "tar"),
    "tar, link out": lambda _: (tarred({"ok": b"1"}, "w", special("s", tarfile.SYMTYPE, "..")), "tar"),
    "tar, link in": lambda _: (tarred({"ok": b"1"}, "w", special("s", tarfile.SYMTYPE, "ok")), "tar"),
    "tar, hard link": lambda _: (tarred({"ok": b"1"}, "w", special("s", tarfile.LNKTYPE, "/etc/passwd")), "tar"),
    "tar, device": lambda _: (tarred({"ok": b"1"}, "w", special("s", tarfile.CHRTYPE)), "tar"),
    "tar, pipe": lambda _: (tarred({"ok": b"1"}, "w", special("s", tarfile.FIFOTYPE)), "tar"),
    "zip, up": lambda _: (zipped({"ok": b"1", "../out": b"x"}), "zip"),
    "zip, absolute": lambda folder: (zipped({"ok": b"1", f"{folder.parent}/out": b"x"}), "zip"),
    "zip, backslashes": lambda _: (zipped({"ok": b"1", "..\\out": b"x"}), "zip"),
    "zip, link": lambda _: (zipped({"ok": b".."}, stat.S_IFLNK | 0o777), "zip"),
}


@pytest.mark.parametrize("case", ESCAPES)
def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path, case: str) -> None:
    content, kind = ESCAPES[case](tmp_path / "set")
    error = refused(tmp_path / "set", content, kind)
    assert "is refused" in str(error)
    assert "Nothing of it was unpacked" in str(error)


@pytest.mark.parametrize("name", ["d/" * 2000 + "f", "d/" * 40 + "f", "x" * 300, "ä" * 200], ids=len)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_are_too_long_or_too_deep_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    files = {**FILES, name: b"deep"}
    content = tarred(files) if kind == "tar" else zipped(files)
    error = refused(tmp_path / "set", content, kind)
    assert "is refused" in str(error)
    assert len(str(error)) < 1000


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_tar_that_is_cut_off(tmp_path: Path, mode: str, share: float) -> None:
    content = tarred({"a": bytes(range(256)) * 40, "b": bytes(range(255, -1, -1)) * 40}, mode)
    error = refused(tmp_path / "set", content[: int(share * len(content))])
    assert "damaged or cut off" in str(error)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_that_is_damaged_or_none(tmp_path: Path, kind: str) -> None:
    content = bytearray((tarred if kind == "tar" else zipped)({"a": bytes(range(256)) * 40}))
    content[len(content) // 3] ^= 0xFF
    assert "damaged or cut off" in str(refused(tmp_path / "set", bytes(content), kind))
    assert "damaged or cut off" in str(refused(tmp_path / "page", b"<html>no such file</html>" * 40, kind))
    assert "damaged or cut off" in str(refused(tmp_path / "cut", zipped(FILES)[:-30], "zip"))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(FILES))
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    assert "is encrypted" in str(refused(tmp_path / "set", bytes(content), "zip"))


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    assert "has no val.txt" in str(refused(tmp_path / "set", tarred(FILES), members={"val.txt": "val_map.txt"}))
    assert "no file in it" in str(refused(tmp_path / "empty", tarred({})))


def test_a_full_disk_is_told_before_the_file_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 600})())
    error = refused(tmp_path / "set", tarred(FILES))
    assert "Set/a/2.flac has 1.2 kB, and 600 B are free" in str(error)


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "set/Set").mkdir(parents=True)
    (tmp_path / "set/Set/README.TXT").write_text("my own notes")
    assert "other files where those of set.archive belong: Set/README.TXT" in str(
        refused(tmp_path / "set", tarred(FILES))
    )
    assert (tmp_path / "set/Set/README.TXT").read_text() == "my own notes"


def test_an_interruption_leaves_only_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(source: object, target: IO[bytes], length: int) -> None:
        target.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", stopped)
    with pytest.raises(Interrupted, match="the same command unpacks it again"):
        unpack(tmp_path / "set", tarred(FILES))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["set.archive"]


def test_remains_of_a_killed_unpacking_are_cleared(tmp_path: Path) -> None:
    left = tmp_path / "set/.set.archive.unpacking/Set"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    unpack(tmp_path / "set", tarred(FILES))
    assert not left.parent.exists()
    assert not (tmp_path / "set/Set/half").exists()
