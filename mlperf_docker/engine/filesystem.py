"""File system of an image, exported by the engine: no code of the image runs, so it cannot forge the answer."""

import hashlib
import io
import stat
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import PurePosixPath
from typing import IO

from mlperf_docker.engine.container import OWNER_LABEL, remove
from mlperf_docker.engine.engine import Engine, EngineRefusedError, NotOnEngineError
from mlperf_docker.engine.plan import CONTAINER_LABEL
from mlperf_docker.errors import EngineError
from mlperf_docker.system import owner

_CHUNK_BYTES = 2**20
_SYMLINKS_AT_MOST = 40  # as Linux: path_resolution(7)
# The engine puts these into every container before it starts, whatever is in the image.
_THE_ENGINES = {
    ".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/hosts", "etc/mtab",
    "etc/resolv.conf", "proc", "sys",
}  # fmt: skip


class FileKind(StrEnum):
    """Kind of an entry of a file system. A hard link is a file like any other."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True)
class FileEntry:
    """Entry of a file system, without its times."""

    kind: FileKind
    mode: int
    uid: int
    gid: int
    target: str | None = None
    """Of a link."""
    md5: str | None = None
    """Of a file's content, as sha256."""
    sha256: str | None = None
    size_bytes: int = 0
    """Of a file's content."""


@dataclass(frozen=True)
class FileSystem:
    """The entries of a file system, and the content of the files that were asked for."""

    entries: Mapping[str, FileEntry]
    """Path without a leading slash → entry."""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """Path → bytes."""

    def text(self, path: str) -> str | None:
        """The content of a file that was asked for, or None where there is no such file."""
        data = self.contents.get(self.resolve(path))
        return None if data is None else data.decode(errors="replace")

    def resolve(self, path: str) -> str:
        """Return where *path* leads when the links in its folders are followed, and not one at its end."""
        *folders, name = PurePosixPath(path).parts
        return str(PurePosixPath(self._follow(folders), name))

    def _follow(self, parts: list[str]) -> PurePosixPath:
        at, rest, followed = PurePosixPath(), list(parts), 0
        while rest:
            part, *rest = rest
            if part == "..":
                at = at.parent
                continue
            entry = self.entries.get(str(at / part))
            if entry is None or entry.target is None or followed == _SYMLINKS_AT_MOST:
                at /= part
                continue
            followed += 1
            target = PurePosixPath(entry.target)
            if target.is_absolute():
                at = PurePosixPath()
            rest = [each for each in target.parts if each != "/"] + rest
        return at


def changes(one: FileSystem, other: FileSystem) -> dict[str, str]:
    """Return path → what differs, of everything that is not the same in both: presence, kind, mode, owner, content."""
    found = {}
    for path in sorted(one.entries.keys() | other.entries.keys()):
        a, b = one.entries.get(path), other.entries.get(path)
        if a is None or b is None:
            found[path] = "only in the second" if a is None else "only in the first"
        elif a != b:
            found[path] = ", ".join(
                each.name for each in fields(FileEntry) if getattr(a, each.name) != getattr(b, each.name)
            )
    return found


def read(client: Engine, image: str, wanted: Callable[[str], bool] = lambda _: False) -> FileSystem:
    """Return all that is in *image* (a tag or an id). wanted: tells of which paths the content is kept too.

    Raises EngineError where the engine cannot give it.
    """
    with _container(client, image) as container:
        return read_archive(_readable(client.export_container(container)), wanted)


def read_file(client: Engine, image: str, path: str) -> bytes | None:
    """Return the content of one file of *image*, given by its absolute path, or None where there is no such file."""
    with _container(client, image) as container:
        try:
            chunks = client.read_path(container, path)
        except NotOnEngineError:
            return None
        with tarfile.open(fileobj=_readable(chunks), mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                return None if content is None else content.read()
    return None


def read_archive(archive: IO[bytes], wanted: Callable[[str], bool] = lambda _: False) -> FileSystem:
    """Return what is in the tar *archive* of a whole file system, which is read once from beginning to end."""
    entries: dict[str, FileEntry] = {}
    contents: dict[str, bytes] = {}
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            path = str(PurePosixPath(member.name.lstrip("/")))
            if path in _THE_ENGINES or path == ".":
                continue
            if member.islnk():
                entries[path] = entries[str(PurePosixPath(member.linkname.lstrip("/")))]
                continue
            data = tar.extractfile(member) if member.isreg() else None
            if data is not None and wanted(path):
                data = io.BytesIO(contents.setdefault(path, data.read()))
            entries[path] = _entry(member, data)
    return FileSystem(entries, contents)


def _entry(member: tarfile.TarInfo, data: IO[bytes] | None) -> FileEntry:
    mode = stat.S_IMODE(member.mode)  # the engine writes the kind of a file into it too
    if data is None:
        kind = FileKind.FOLDER if member.isdir() else FileKind.LINK if member.issym() else FileKind.OTHER
        target = member.linkname if member.issym() else None
        return FileEntry(kind, mode, member.uid, member.gid, target)
    hashes = [hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha256")]
    while chunk := data.read(_CHUNK_BYTES):
        for each in hashes:
            each.update(chunk)
    md5, sha256 = (each.hexdigest() for each in hashes)
    return FileEntry(FileKind.FILE, mode, member.uid, member.gid, md5=md5, sha256=sha256, size_bytes=member.size)


@contextmanager
def _container(client: Engine, image: str) -> Iterator[str]:
    """Yield a container of *image* that is never started, and is gone afterwards."""
    name = f"mlperf-docker-{uuid.uuid4().hex[:12]}"
    key, _, value = CONTAINER_LABEL.partition("=")
    try:
        # The command is for images that have none of their own; an engine makes no container without.
        labels = {key: value, OWNER_LABEL: owner.current()}
        client.create_container(name, {"Image": image, "Cmd": ["-"], "NetworkDisabled": True, "Labels": labels})
        yield name
    except EngineRefusedError as error:
        raise EngineError(f"The engine cannot show what is in {image}: {error.reason}") from error
    finally:
        remove(client, name)


def _readable(chunks: Iterator[bytes]) -> IO[bytes]:
    return io.BufferedReader(_Chunks(chunks), _CHUNK_BYTES)


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the stubs allow any buffer
        if not self._rest:
            self._rest = next(self._chunks, b"")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
