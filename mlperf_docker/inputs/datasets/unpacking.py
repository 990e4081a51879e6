"""Unpacking of data set archives: in a folder beside, moved into place when complete, with a record of the files.

Only files with names below the folder are taken; a link, a device or a name that leads elsewhere refuses the archive.
tarfile's "data" filter takes links, and Python 3.11 has it only from its fourth patch on; pooch 1.9's Untar writes to
`../name` there, and its Unzip gives such a file another name. Neither of them notices a wrong checksum of gzip.
"""

import contextlib
import gzip
import json
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import DatasetError, Interrupted
from mlperf_docker.system import atomic, small_file

_CHUNK_BYTES = 2**20
_GZIP = b"\x1f\x8b"
_ENCRYPTED = 1  # of a zip entry's flags
_BLOCKING_SHOWN = 3
_DEEPEST = 32
_LONGEST = 1000
"""Folders within each other, and characters of a name with them; no data set comes near."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError)


@dataclass(frozen=True)
class _ArchivedFile:
    """A file in an archive."""

    name: str
    size: int
    mtime: float | None
    open: Callable[[], IO[bytes]]
    """Function that opens the content."""
    position: int
    """Offset of the content in the archive."""


class _RefusedError(Exception):
    """The archive holds what nobody should unpack."""


class _FullError(Exception):
    """The disk has no room for the next file."""


def record_of(folder: Path, name: str) -> Path:
    """Return the file that remembers what the archive *name* gave."""
    return folder / f".{name}.unpacked"


def is_unpacked(folder: Path, name: str, checksum: str | None) -> bool:
    """Tell whether all that the archive with *checksum* gave still lies in *folder*, by names and sizes."""
    try:
        record = json.loads(small_file.read(record_of(folder, name)))
        files = record["files"].items()
        return record["checksum"] == checksum and all((folder / path).stat().st_size == size for path, size in files)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return False


def unpack(
    archive: Path, kind: str, members: Mapping[str, str], folder: Path, checksum: str | None, display: Display
) -> None:
    """Put what is in *archive* into *folder*, all of it or the *members* (name → path), and remember it.

    kind: tar, with or without gzip, or zip. Files that are there already are replaced by those of the same size;
    anything else in the way is an error, and so is an archive that is damaged, lacks a member, or would write
    elsewhere: then nothing of it is put in place. Raises DatasetError, and Interrupted on Ctrl-C.
    """
    display.phase(f"unpack {archive.name}")
    try:
        with _aside(folder, archive.name) as aside:
            files = _extract(archive, kind, members, aside, display)
            _put_in_place(aside, files, folder, archive)
        atomic.write_text(
            record_of(folder, archive.name), json.dumps({"checksum": checksum, "files": files}, indent=1) + "\n"
        )
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"Interrupted while unpacking {archive.name}. It is kept; the same command unpacks it again."
        ) from error
    except _RefusedError as error:
        raise DatasetError(
            f"{archive} is refused: {error}. Nothing of it was unpacked.",
            hint="It is not the archive that the data set's makers offer. Remove it, and fetch it again.",
        ) from error
    except _BROKEN as error:
        raise _damaged(archive, error) from error
    except _FullError as error:
        raise DatasetError(
            f"{archive.name} cannot be unpacked: {error}.", hint="Free some; the same command goes on from here."
        ) from error
    except OSError as error:
        if error.errno is None:  # gzip says so of damage
            raise _damaged(archive, error) from error
        raise DatasetError(
            f"{archive.name} cannot be unpacked in {folder}: {error.strerror} ({error.filename or 'while writing'}).",
            hint="Free some space or check the permissions there; the same command goes on from here.",
        ) from error


def _damaged(archive: Path, error: BaseException) -> DatasetError:
    return DatasetError(
        f"{archive} is damaged or cut off ({error}). Nothing of it was unpacked.",
        hint=f"Remove it, and fetch it again: rm {archive}",
    )


@contextlib.contextmanager
def _aside(folder: Path, name: str) -> Iterator[Path]:
    """Yield a hidden folder for what comes out; it is gone afterwards, and so is what a killed process left of it."""
    aside = folder / f".{name}.unpacking"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _extract(archive: Path, kind: str, members: Mapping[str, str], aside: Path, display: Display) -> dict[str, int]:
    """Write the wanted files below *aside* and return path → size. Reads no further than the last one wanted."""
    total = archive.stat().st_size
    files: dict[str, int] = {}
    missing = set(members)
    with archive.open("rb") as stream:
        for entry in (_tar_entries if kind == "tar" else _zip_entries)(stream):
            path = _inside(entry.name)
            if members:
                if path.name not in missing:
                    continue
                missing.remove(path.name)
                path = PurePosixPath(members[path.name])
            _write(entry, aside / path)
            files[str(path)] = entry.size
            display.progress(min(entry.position, total), total, "bytes")
            if members and not missing:
                break
    if missing:
        raise _RefusedError(f"it has no {', '.join(sorted(missing))}")
    if not files:
        raise _RefusedError("there is no file in it")
    return files


def _inside(name: str) -> PurePosixPath:
    """Return *name* as a path below the folder. Raises _RefusedError where it leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.name:
        raise _RefusedError(f"{name[:_LONGEST]!r} in it leads out of the folder")
    if len(path.parts) > _DEEPEST or len(name) > _LONGEST or any(len(part.encode()) > 255 for part in path.parts):
        raise _RefusedError(f"{name[:40]!r}… in it is too long a name, or in {len(path.parts) - 1} folders")
    return path


def _tar_entries(stream: IO[bytes]) -> Iterator[_ArchivedFile]:
    compressed = stream.read(len(_GZIP)) == _GZIP
    stream.seek(0)
    plain = gzip.GzipFile(fileobj=stream) if compressed else stream
    with tarfile.open(fileobj=plain, mode="r:") as tar:
        for member in tar:
            if member.isdir():  # folders come with their files
                continue
            if not member.isreg():
                raise _RefusedError(f"{member.name!r} in it is a link or a device")

            def content(member: tarfile.TarInfo = member) -> IO[bytes]:
                found = tar.extractfile(member)
                if found is None:
                    raise tarfile.ReadError(f"{member.name} has no content")
                return found

            yield _ArchivedFile(member.name, member.size, member.mtime, content, stream.tell())
        while plain.read(_CHUNK_BYTES):  # gzip's checksum stands at its end, where tarfile does not look
            pass


def _zip_entries(stream: IO[bytes]) -> Iterator[_ArchivedFile]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise _RefusedError(f"{member.filename!r} in it is a link or a device")
            if member.flag_bits & _ENCRYPTED:
                raise _RefusedError(f"{member.filename!r} in it is encrypted")

            def content(member: zipfile.ZipInfo = member) -> IO[bytes]:
                return archive.open(member)

            yield _ArchivedFile(member.filename, member.file_size, None, content, member.header_offset)


def _write(entry: _ArchivedFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if entry.size > free:
        raise _FullError(f"{entry.name} has {readable(entry.size)}, and {readable(free)} are free on the disk")
    with entry.open() as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
        written = file.tell()
    if written != entry.size:
        raise EOFError(f"{entry.name} ends after {written} of {entry.size} bytes")
    if entry.mtime is not None:
        os.utime(target, (entry.mtime, entry.mtime))


def _put_in_place(aside: Path, files: Mapping[str, int], folder: Path, archive: Path) -> None:
    """Move the files, all of them complete. Raises DatasetError before the first one where something is in the way."""
    blocking = [path for path, size in files.items() if _blocks(folder / path, size)]
    if blocking:
        shown = ", ".join(blocking[:_BLOCKING_SHOWN]) + (" and others" if len(blocking) > _BLOCKING_SHOWN else "")
        raise DatasetError(
            f"{folder} has other files where those of {archive.name} belong: {shown}.",
            hint="Move them away, or fetch to another folder.",
        )
    for path in files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (aside / path).replace(target)


def _blocks(target: Path, size: int) -> bool:
    return target.exists() and not (target.is_file() and target.stat().st_size == size)
