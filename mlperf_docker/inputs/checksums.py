"""Checksums of large files, with an index of known ones, so that a file is hashed once.

hashlib.file_digest and pooch.file_hash (pooch 1.9) read the file once for each algorithm, and report no progress.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlperf_docker.errors import FolderError
from mlperf_docker.system import exclusive, paths, small_file

ALGORITHMS = ("sha256", "md5")  # the stronger one first: it decides where both were published
_CHUNK_BYTES = 2**20
_INDEX = "checksums.json"


class Published(Protocol):
    """A file of the catalog, with the checksums that upstream published."""

    @property
    def md5(self) -> str | None:
        """32 hexadecimal digits, or None."""

    @property
    def sha256(self) -> str | None:
        """64 hexadecimal digits, or None."""


@dataclass(frozen=True)
class Checksum:
    """Checksum: `md5` or `sha256`, and its hexadecimal digits."""

    algorithm: str
    value: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"

    def new(self) -> "hashlib._Hash":
        """Return a fresh hash object of this algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def published(file: Published) -> Checksum | None:
    """Return the strongest checksum that was published for *file*, or None where none was."""
    values = {"sha256": file.sha256, "md5": file.md5}
    return next((Checksum(name, value) for name in ALGORITHMS if (value := values[name]) is not None), None)


def sha256(path: Path) -> str:
    """Return the SHA-256 of *path*, as it is remembered, or computed. Raises OSError where it cannot be read."""
    return remembered(path).get("sha256") or of(path, ("sha256",))["sha256"]


def of(path: Path, algorithms: tuple[str, ...], report: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """Read *path* once and return algorithm → digits; what was found is remembered. report: bytes done, of how many.

    Raises OSError where it cannot be read.
    """
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        done = 0
        while chunk := file.read(_CHUNK_BYTES):
            for each in hashes.values():
                each.update(chunk)
            done += len(chunk)
            if report is not None:
                report(done, before.st_size)
        unchanged = _stamp(os.fstat(file.fileno())) == _stamp(before)
    found = {name: each.hexdigest() for name, each in hashes.items()}
    if unchanged:
        remember(path, found)
    return found


def remembered(path: Path) -> dict[str, str]:
    """Return what is known of *path* as it is now: algorithm → digits, empty where it changed or was never read.

    Size, times of modification and of change, and inode must all be those of the day when it was read: the time of
    change cannot be set back, so a file that was edited and touched is not taken for the old one.
    """
    with contextlib.suppress(OSError, FolderError, ValueError, TypeError, LookupError, RecursionError):
        entry = json.loads(small_file.read(_index()))[str(paths.resolved(path))]
        if entry["stamp"] == _stamp(path.stat()):
            return {name: entry[name] for name in ALGORITHMS if isinstance(entry.get(name), str)}
    return {}


def remember(path: Path, found: dict[str, str]) -> None:
    """Add *found* to the index. An index that cannot be written only costs time, so it is no error."""
    with contextlib.suppress(OSError, FolderError), _locked_index() as entries:
        stamp = _stamp(path.stat())
        key = str(paths.resolved(path))
        known = entries.get(key, {})
        kept = known if isinstance(known, dict) and known.get("stamp") == stamp else {}
        entries[key] = {**kept, **found, "stamp": stamp}
        for gone in [each for each in entries if not Path(each).is_file()]:
            del entries[gone]


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _index() -> Path:
    return paths.cache_place() / _INDEX


@contextlib.contextmanager
def _locked_index() -> Iterator[dict[str, Any]]:
    """Yield the index's entries, alone on this host; what is changed in them replaces the file in one step."""
    index = _index()
    index.parent.mkdir(parents=True, exist_ok=True)
    with exclusive.folder(index.parent):
        entries: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            entries = dict(json.loads(small_file.read(index)))
        yield entries
        temporary = index.with_name(f".{_INDEX}.new")  # one name: the lock's holder overwrites what a killed one left
        temporary.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        temporary.replace(index)
