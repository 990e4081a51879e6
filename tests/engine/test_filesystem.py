"""File systems of images, read from a tar whose contents are known, and from a real engine."""

import hashlib
import io
import tarfile
from collections.abc import Callable

import pytest

from mlperf_docker.engine import filesystem
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.filesystem import FileEntry, FileKind, FileSystem
from mlperf_docker.errors import EngineError
from tests.fixtures.docker_client import api
from tests.fixtures.engine import MARK

TAG = f"{MARK}/files:1"


Change = Callable[[tarfile.TarInfo], None]


def nothing(_: tarfile.TarInfo) -> None:
    pass


def archive(**changes: Change) -> bytes:
    """A file system with one of each kind. changes: what to do to the entry of that name first."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:

        def add(name: str, kind: bytes, mode: int, data: bytes = b"", target: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), target
            changes.get(name.rpartition("/")[2], nothing)(entry)
            tar.addfile(entry, io.BytesIO(data[: entry.size]))

        add("etc", tarfile.DIRTYPE, 0o755)
        add("usr", tarfile.DIRTYPE, 0o755)
        add("usr/bin", tarfile.DIRTYPE, 0o755)
        add("bin", tarfile.SYMTYPE, 0o777, target="usr/bin")
        add("usr/bin/first", tarfile.REGTYPE, 0o4755, b"program")
        add("usr/bin/second", tarfile.LNKTYPE, 0o4755, target="usr/bin/first")
        add("usr/bin/empty", tarfile.REGTYPE, 0o644)
        add("usr/bin/round", tarfile.SYMTYPE, 0o777, target="/usr/bin/round")
    return content.getvalue()


def read(data: bytes) -> FileSystem:
    return filesystem.read_archive(io.BytesIO(data), lambda path: path == "usr/bin/first")


PROGRAM = FileEntry(
    FileKind.FILE,
    0o4755,
    0,
    0,
    md5=hashlib.md5(b"program", usedforsecurity=False).hexdigest(),
    sha256=hashlib.sha256(b"program").hexdigest(),
    size_bytes=7,
)


def check(found: FileSystem) -> None:
    assert {path: entry.kind for path, entry in found.entries.items()} == {
        "etc": FileKind.FOLDER,
        "usr": FileKind.FOLDER,
        "usr/bin": FileKind.FOLDER,
        "bin": FileKind.LINK,
        "usr/bin/first": FileKind.FILE,
        "usr/bin/second": FileKind.FILE,
        "usr/bin/empty": FileKind.FILE,
        "usr/bin/round": FileKind.LINK,
    }
    assert found.entries["usr/bin/first"] == found.entries["usr/bin/second"] == PROGRAM
    assert found.entries["bin"].target == "usr/bin"
    assert found.contents == {"usr/bin/first": b"program"}


def test_every_kind_of_entry_is_read() -> None:
    check(read(archive()))


def test_a_path_is_followed_through_links_but_not_at_its_end() -> None:
    found = read(archive())
    assert found.resolve("bin/first") == "usr/bin/first"
    assert found.text("bin/first") == "program"
    assert found.resolve("bin") == "bin"
    assert found.resolve("usr/bin/../bin/first") == "usr/bin/first"
    assert found.resolve("usr/bin/round/on") == "usr/bin/round/on", "a link to itself leads nowhere, and ends"
    assert found.text("usr/bin/nothing") is None


def test_every_change_shows_and_times_do_not() -> None:
    def set_to(**values: object) -> Change:
        def change(entry: tarfile.TarInfo) -> None:
            for key, value in values.items():
                setattr(entry, key, value)

        return change

    one = read(archive())
    assert filesystem.changes(one, read(archive(first=set_to(mtime=1), bin=set_to(mtime=2)))) == {}
    assert filesystem.changes(one, read(archive(first=set_to(size=3)))) == {
        "usr/bin/first": "md5, sha256, size_bytes",
        "usr/bin/second": "md5, sha256, size_bytes",
    }
    assert filesystem.changes(one, read(archive(empty=set_to(mode=0o600, uid=5)))) == {"usr/bin/empty": "mode, uid"}
    assert filesystem.changes(one, read(archive(bin=set_to(linkname="usr/sbin")))) == {"bin": "target"}
    assert filesystem.changes(one, read(archive(empty=set_to(name="usr/bin/full")))) == {
        "usr/bin/empty": "only in the first",
        "usr/bin/full": "only in the second",
    }


@pytest.mark.engine
def test_a_real_engine_gives_out_the_same_and_keeps_no_container(clean: DockerEngine) -> None:
    api(clean).import_image_from_data(archive(), repository=TAG.rpartition(":")[0], tag="1")
    before = {each["Id"] for each in api(clean).containers(all=True)}
    check(filesystem.read(clean, TAG, lambda path: path == "usr/bin/first"))
    assert filesystem.read_file(clean, TAG, "/usr/bin/first") == b"program"
    assert filesystem.read_file(clean, TAG, "/usr/bin/nothing") is None
    left = [each for each in api(clean).containers(all=True) if each["Id"] not in before and each["Image"] == TAG]
    assert left == []


@pytest.mark.engine
def test_an_image_that_is_not_there_is_said(engine: DockerEngine) -> None:
    with pytest.raises(EngineError, match="cannot show what is in"):
        filesystem.read(engine, f"{MARK}/nothing:1")
