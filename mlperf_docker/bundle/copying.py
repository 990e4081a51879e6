"""Copies of files, hashed while they are written and synced to the disk before they count."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

_CHUNK_BYTES = 2**20


class HashedFile:
    """A new file at *path*, for `with`. Raises FileExistsError where there is one. size_bytes: written so far."""

    def __init__(self, path: Path) -> None:
        self._file, self._hash = path.open("xb"), hashlib.sha256()
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())  # a disk that is unplugged afterwards has it all

    def write(self, chunk: bytes) -> None:
        """Append *chunk*."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    @property
    def sha256(self) -> str:
        """The checksum of what was written, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def copy(source: Path, target: Path, report: Callable[[int, int], None]) -> HashedFile:
    """Copy *source* to the new file *target*, and return what was written. report: bytes done, of how many."""
    with source.open("rb") as reading, HashedFile(target) as file:
        total = os.fstat(reading.fileno()).st_size
        while chunk := reading.read(_CHUNK_BYTES):
            file.write(chunk)
            report(file.size_bytes, total)
    return file
