"""Entries of the cache: a folder of files and a record of what they were made from, with checksums.

An entry is trusted across runs, so it is looked at before it is used, and made again where it does not fit its record.
A file whose size and times are those recorded has not been written to since; of any other, the contents are compared.
"""

import json
import logging
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mlperf_docker.harness.system import files, storage

RECORD = "entry.json"
LARGEST_RECORD = 64 << 20
"""Bytes."""
TRIES = 5
"""Without locks, another process may take the place of an entry just made with one of its own."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Unfit(Exception):  # noqa: N818 (a finding, and no error: what does not fit is made again)
    """Cache entry that cannot be used; the message says why. missing: there is no entry."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as it was recorded."""

    size: int
    crc32: int
    changed: tuple[int, int]
    """Times of modification and of change, in nanoseconds."""


def entry(folder: Path, made_from: Mapping[str, Any], make: Callable[[Path], None], *, taken_up: bool = False) -> Path:
    """The entry *folder*, made from *made_from*: as it is kept, or filled by *make*, which gets a new folder.

    taken_up: it gets what a killed process left. Raises StorageError where the entry has to be made and cannot be.
    """

    def ready() -> Path:
        check(folder, made_from)
        return folder

    def fill(alone: bool) -> None:  # noqa: FBT001 (whether there is a lock)
        with files.new_directory(folder, alone=alone, taken_up=taken_up) as partial:
            make(partial)
            seal(partial, made_from)

    return obtain(folder, ready, fill)


def obtain(folder: Path, ready: Callable[[], T], make: Callable[[bool], None]) -> T:
    """What *ready* gives; where it raises Unfit, *make* is called first, under a lock if there are locks.

    Raises StorageError where the entry *folder* cannot be written.
    """
    with suppress(Unfit):
        return ready()
    with storage.writing(folder.parent), files.locked(folder.with_suffix(".lock")) as alone:
        for _ in range(1 if alone else TRIES):
            with suppress(Unfit):
                return _announced(folder, ready)
            make(alone)
        return ready()


def _announced(folder: Path, ready: Callable[[], T]) -> T:
    """What *ready* gives; why it gives nothing is said, unless nothing was there."""
    try:
        return ready()
    except Unfit as why:
        if not why.missing:
            log.warning("The cache entry %s is made again: %s.", folder, why)
        raise


def seal(folder: Path, made_from: Mapping[str, Any], names: Iterable[str] | None = None, record: str = RECORD) -> None:
    """Write the record of all that is in the new folder *folder*; or of the files *names*, which are synced first."""
    listed = sorted({*_inside(folder)} - {record} if names is None else names)
    for name in () if names is None else listed:
        files.sync(folder / name)
    found = {name: kept(folder / name) for name in listed}
    _write(folder / record, made_from, found, whole=names is None)


def kept(path: Path) -> FileRecord:
    """A file as it is now."""
    status = path.stat()
    return FileRecord(status.st_size, files.crc32(path), (status.st_mtime_ns, status.st_ctime_ns))


def _write(path: Path, made_from: Mapping[str, Any], found: Mapping[str, FileRecord], *, whole: bool) -> None:
    listed = {name: [each.size, each.crc32, *each.changed] for name, each in found.items()}
    write_checked(path, {"made_from": dict(made_from), "whole": whole, "files": listed})


def _own(value: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def check(folder: Path, made_from: Mapping[str, Any], record: str = RECORD) -> None:
    """Raise Unfit if the files in *folder* are not those of its record, or it was made from something else."""
    value = read_checked(folder / record)
    if value.get("made_from") != made_from:
        raise Unfit("it was made from something else")
    try:
        found = {
            name: FileRecord(size, crc, (first, second)) for name, (size, crc, first, second) in value["files"].items()
        }
        whole = value["whole"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unfit("it is another version's") from error
    if whole and {*found, record} != set(_inside(folder)):
        raise Unfit("files were added or removed")
    again = {name: _compare(folder / name, name, each) for name, each in found.items()}
    if again != found:
        with suppress(OSError, storage.StorageError):  # it would only save the next run a look
            _write(folder / record, made_from, again, whole=whole)


def write_checked(path: Path, value: Mapping[str, Any]) -> None:
    """Write *value* as JSON with its own checksum."""
    files.write_atomically(path, json.dumps({**value, "crc32": _own(value)}).encode())


def read_checked(path: Path) -> dict[str, Any]:
    """What `write_checked` wrote. Raises Unfit."""
    try:
        status = path.lstat()
    except OSError as error:
        raise Unfit("it has no record", missing=not _holds_something(path.parent)) from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_RECORD:
        raise Unfit("its record is damaged")
    try:
        value = json.loads(path.read_bytes())
        own = value.pop("crc32")
    except OSError as error:
        raise Unfit(f"its record cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise Unfit("its record is damaged") from error
    if own != _own(value):
        raise Unfit("its record is damaged")
    return dict(value)


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _compare(path: Path, name: str, known: FileRecord) -> FileRecord:
    """The file as it is now, with the contents that it was recorded with. Raises Unfit."""
    try:
        status = path.lstat()
    except OSError as error:
        raise Unfit(f"{name}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise Unfit(f"{name} is no plain file")
    if status.st_size != known.size:
        raise Unfit(f"{name} has {status.st_size} bytes, not {known.size}")
    if (status.st_mtime_ns, status.st_ctime_ns) == known.changed:
        return known
    try:
        now = kept(path)
    except OSError as error:
        raise Unfit(f"{name} cannot be read: {error.strerror}") from error
    if now.crc32 != known.crc32:
        raise Unfit(f"{name} is damaged")
    return now


def _inside(folder: Path) -> list[str]:
    """All files below *folder*, and whatever else is no folder, by their names in it."""
    return [str(Path(root, name).relative_to(folder)) for root, _, names in os.walk(folder) for name in names]
