"""Day files of Criteo: selection from a folder, text, and identity of a day."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten
from mlperf_docker.harness.system import data_files

_HINT = "The ids depend on all days. https://ailab.criteo.com/download-criteo-1tb-click-logs-dataset/ has them."
_DAMAGED = (OSError, EOFError, zlib.error)
HEAD = 1 << 20
"""Bytes of text that tell one day from another."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day file that was read to its end."""

    name: str
    """Name of the file."""
    size_bytes: int
    """Size of the file."""
    sha256: str
    """Checksum of the file."""
    stamp: tuple[int, ...]
    """Times, device and number of the file; as long as they are the same, nobody has written to it."""
    head: str
    """Sha256 of the first bytes of its text, unpacked."""
    text_bytes: int
    """Size of the unpacked text."""

    def is_file(self, path: Path) -> bool:
        """Whether *path* is still the file that was read. Raises BadSample if it is no regular file, OSError."""
        found = data_files.status(path)
        if (path.name, found.st_size) != (self.name, self.size_bytes):
            return False
        if _stamp(found) == self.stamp:
            return True
        with data_files.opened(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256

    def same_text(self, other: "Day") -> bool:
        """Whether both files have the same rows, packed or not."""
        return (self.head, self.text_bytes) == (other.head, other.text_bytes)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino)


def find(source: Path, day: int) -> Path:
    """The file of a day, unpacked where both are there and are one day.

    Raises MissingSample, or BadSample where there are two days, or an empty one.
    """
    found: dict[Path, int] = {}
    problems = {}
    for path in (source / f"day_{day}", source / f"day_{day}.gz"):
        try:
            found[path] = data_files.status(path).st_size
        except data_files.MissingSample:
            continue
        except BadSample as problem:
            problems[path] = str(problem)
    problems |= {path: "0 bytes cannot be a day" for path, size in found.items() if not size}
    whole = [path for path, size in found.items() if size]
    if not whole and problems:
        raise BadSample("; ".join(f"{path.name}: {problem}" for path, problem in problems.items()))
    if not whole:
        raise data_files.MissingSample(f"day_{day} or day_{day}.gz")
    if len(whole) == 2 and found[whole[0]] % 2**32 != _unpacked_size(whole[1]):
        sizes = f"{whole[0].name} has {found[whole[0]]} bytes, {whole[1].name} unpacks to another number of them"
        raise BadSample(f"{sizes}: remove the one that is not whole")
    return whole[0]


def _unpacked_size(path: Path) -> int:
    """What gzip's last four bytes say: bytes of the text, modulo 2**32."""
    with data_files.opened(path) as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 4))
        return int.from_bytes(stream.read(4), "little")


def day_files(source: Path, days: range) -> dict[int, Path]:
    """The files of *days*. Raises DatasetError, naming every one that is missing or cannot be right."""
    found: dict[int, Path] = {}
    missing, odd = [], []
    for day in days:
        try:
            found[day] = find(source, day)
        except data_files.MissingSample as problem:
            missing.append(str(problem))
        except (BadSample, OSError) as problem:
            odd.append(str(problem))
    if odd:
        message = f"{source}: {len(odd) + len(missing)} of {len(days)} day files are missing or cannot be right"
        raise DatasetError(message, hint=_HINT, details=first_ten([*odd, *(f"{name}: missing" for name in missing)]))
    if missing:
        message = f"{source} lacks {len(missing)} of {len(days)} day files"
        raise DatasetError(message, hint=_HINT, details=first_ten(missing))
    return found


class _Counted:
    """A file whose bytes are counted and go into a checksum as they are read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._stream.read(size)
        self.position += len(data)
        self.digest.update(data)
        return data

    def seek(self, offset: int) -> None:
        """Not from here: the checksum is of what is read once."""
        raise io.UnsupportedOperation(f"seek to {offset}")


class Text:
    """The text of a day file, to be read from its start to its end."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._stream = stream
        self._before = os.fstat(stream.fileno())
        self._file = _Counted(stream)
        self._text = gzip.GzipFile(fileobj=self._file, mode="rb") if path.suffix == ".gz" else self._file
        self._head = b""
        self._count = 0

    @property
    def position(self) -> int:
        """Bytes of the file that are read."""
        return self._file.position

    def read(self, size: int) -> bytes:
        """The next bytes of text. Raises DatasetError where the file is damaged."""
        try:
            data = self._text.read(size)
        except _DAMAGED as error:
            hint = "It is truncated or damaged; fetch it again."
            raise DatasetError(f"cannot read {self._path}: {error}", hint=hint) from error
        self._head += data[: HEAD - len(self._head)]
        self._count += len(data)
        return data

    def day(self) -> Day:
        """What was read, all of it. Raises DatasetError if somebody wrote to the file meanwhile."""
        after = os.fstat(self._stream.fileno())
        if (after.st_size, after.st_mtime_ns) != (self._before.st_size, self._before.st_mtime_ns):
            raise DatasetError(f"{self._path} was changed while it was read", hint="Convert again when it is complete.")
        return Day(
            name=self._path.name,
            size_bytes=self._file.position,
            sha256=self._file.digest.hexdigest(),
            stamp=_stamp(after),
            head=hashlib.sha256(self._head).hexdigest(),
            text_bytes=self._count,
        )


@contextmanager
def opened(path: Path) -> Iterator[Text]:
    """The text of a day file. Raises DatasetError if it is no regular file."""
    try:
        stream = data_files.opened(path)
    except BadSample as problem:
        raise DatasetError(f"cannot read {path}: {problem}") from problem
    with stream:
        yield Text(path, stream)


def as_fields(day: Day) -> dict[str, Any]:
    """For JSON."""
    return {name: getattr(day, name) for name in Day.__slots__}


def from_fields(fields: Mapping[str, Any]) -> Day:
    """What `as_fields` gave. Raises KeyError, TypeError."""
    return Day(**{name: fields[name] for name in Day.__slots__} | {"stamp": tuple(fields["stamp"])})
