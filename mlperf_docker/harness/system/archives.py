"""Zip archives of model files, checked before a library reads them.

PyTorch takes the sizes of tensors from a pickle, trusts them, and compares no checksum; and a few megabytes of zip may
say that they are as many gigabytes. So this is looked at first: that what it unpacks to is in proportion, that each
tensor has the bytes that the pickle says, and that the bytes are those that were written.
"""

import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from mlperf_docker.harness.api.errors import ModelFileError, damaged, first_ten
from mlperf_docker.harness.system.resources import cores

MAGIC = b"PK\x03\x04"
"""What an archive begins with."""
FLOOR = 256 << 20
"""Bytes that any archive may unpack to."""
RATIO = 20
"""How many times its own size a larger one may. Weights hardly shrink; a tenth of them may be zeros, but not all."""
MOST_MEMBERS = 20_000
MOST_LIST_BYTES = 8 << 20
"""Of an archive's list of members, which is read as a whole."""
MOST_PICKLE_BYTES = 8 << 20
"""Of a pickle in an archive: names, shapes and places of tensors. Those of the official files have up to 100 KB."""
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OSError, LookupError, NotImplementedError, RuntimeError),
)
"""What a damaged archive makes of reading it, with whichever compression a damaged member says it has."""
DEEPEST = 32
"""Folders within each other in an archive."""
PICKLES = ("data", "constants")
"""What PyTorch's pickles are called; the bytes of a pickle's tensors are in the folder of its name."""
_CHUNK_BYTES = 1 << 20
_END_BYTES = (1 << 16) + 200
"""Where an archive's end is: a comment of up to 64 KB may follow it."""

_SIZES = {
    **dict.fromkeys(("UntypedStorage", "CharStorage", "ByteStorage", "BoolStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage"), 1),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    "ComplexDoubleStorage": 16,
}
"""Bytes of an element, by the class that a pickle names."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip archive whose list of members was looked at."""

    path: Path
    content: Path | bytes
    """The file, or what was unpacked of another archive."""
    members: Mapping[str, zipfile.ZipInfo]

    def stream(self) -> BinaryIO:
        """The archive's own bytes, opened."""
        return io.BytesIO(self.content) if isinstance(self.content, bytes) else self.content.open("rb")

    def read(self, name: str) -> bytes:
        """All of a member. Raises ModelFileError where it is damaged."""
        with self.stream() as stream, zipfile.ZipFile(stream) as archive:
            try:
                return archive.read(self.members[name])
            except UNREADABLE as error:
                raise damaged(self.path, "whole zip archive", error) from error

    @property
    def summed(self) -> bool:
        """Whether there are checksums; PyTorch can be told to leave them out, and then they are all zero."""
        return any(member.CRC for member in self.members.values())


def is_archive(path: Path) -> bool:
    """Whether *path* begins like a zip archive."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def look(path: Path, content: bytes | None = None) -> Archive:
    """The archive *path*, or that in *content*, which comes out of it.

    Raises ModelFileError where it is damaged, or unpacks to far more than it has.
    """
    source = path if content is None else content
    size = path.stat().st_size if content is None else len(content)
    try:
        with Archive(path, source, {}).stream() as stream:
            listed = _list_bytes(stream)
            if listed > MOST_LIST_BYTES:
                raise damaged(path, "archive of a model", f"its list of files has {listed} bytes")
            with zipfile.ZipFile(stream) as archive:
                members = archive.infolist()
    except UNREADABLE as error:
        raise damaged(path, "whole zip archive", error) from error
    total = sum(member.file_size for member in members)
    if total > max(FLOOR, RATIO * size) or len(members) > MOST_MEMBERS:
        raise ModelFileError(
            f"{path} ({size} bytes) would unpack to {total} bytes in {len(members)} files: it holds no weights",
            hint="Weights hardly shrink in an archive. Compare its checksum with: mlperf-docker models verify",
        )
    odd = [name for name in (member.filename for member in members) if name.count("/") > DEEPEST]
    named = {member.filename: member for member in members}
    if len(named) < len(members) or odd:
        raise ModelFileError(f"{path} has files of the same name, or in too many folders", details=first_ten(odd))
    return Archive(path, source, named)


def _list_bytes(stream: BinaryIO) -> int:
    """The size that an archive's end says its list of members has; 0 where there is no end. Source: APPNOTE 4.3."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    tail = stream.read()
    end, long_end = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    short = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    long = int.from_bytes(tail[long_end + 40 : long_end + 48], "little") if long_end >= 0 else 0
    return max(long, 0 if short == 0xFFFFFFFF else short)


def check_sizes(archive: Archive) -> None:
    """Raise ModelFileError where a tensor has not as many bytes as the pickle says: it would go on in another's."""
    wrong = []
    for name in archive.members:
        place = PurePosixPath(name)
        if len(place.parts) == 2 and place.suffix == ".pkl" and place.stem in PICKLES:
            for key, size in _storages(archive, name):
                member = archive.members.get(f"{place.parent}/{place.stem}/{key}")
                if member is not None and member.file_size != size:
                    wrong.append(f"{member.filename}: {member.file_size} bytes, not {size}")
    if wrong:
        raise ModelFileError(
            f"{archive.path} lacks a part of its weights: {len(wrong)} tensors have other sizes than it says",
            details=first_ten(wrong),
        )


def check_sums(archive: Archive) -> None:
    """Raise ModelFileError where a member is not what was written: its checksum differs. Reads everything."""
    if not archive.summed:
        return
    largest_first = sorted(archive.members.values(), key=lambda member: -member.file_size)
    with archive.stream() as stream, zipfile.ZipFile(stream) as opened, ThreadPoolExecutor(cores()) as pool:
        wrong = [problem for problem in pool.map(lambda member: _problem(opened, member), largest_first) if problem]
    if wrong:
        raise damaged(archive.path, "whole model file", f"{len(wrong)} of its parts are damaged: {wrong[0]}")


def _problem(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> str | None:
    """What keeps a member from being read."""
    try:
        with opened.open(member) as content:
            while content.read(_CHUNK_BYTES):
                pass
    except UNREADABLE as error:
        return f"{member.filename}: {error}"
    return None


class _Inert:
    """Stand-in for any object of a pickle: nothing is done, whatever class it names."""

    def __new__(cls, *_arguments: object, **_options: object) -> "_Inert":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None: ...
    def __setitem__(self, key: object, value: object) -> None: ...
    def append(self, value: object) -> None: ...
    def extend(self, values: object) -> None: ...
    def add(self, value: object) -> None: ...


class _Storages(pickle._Unpickler):  # noqa: SLF001
    """Goes through a pickle for the tensors that it asks for: their keys, and the bytes that they should have.

    In Python: the unpickler in C makes room for as many objects as a pickle says that it has.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.found: list[tuple[str, int]] = []

    def find_class(self, module: str, name: str) -> type[_Inert]:  # noqa: ARG002
        return type(name, (_Inert,), {})

    def persistent_load(self, pid: Any) -> _Inert:  # noqa: ANN401
        _, kind, key, _, count = pid
        size = _SIZES.get(getattr(kind, "__name__", ""))
        if size is not None:
            self.found.append((str(key), int(count) * size))
        return _Inert()


def _storages(archive: Archive, name: str) -> Iterator[tuple[str, int]]:
    """Keys and bytes of the tensors that the pickle *name* asks for. Raises ModelFileError where it is none."""
    if archive.members[name].file_size > MOST_PICKLE_BYTES:
        raise damaged(archive.path, "PyTorch file", f"{name} has {archive.members[name].file_size} bytes")
    reader = _Storages(archive.read(name))
    load: Callable[[], object] = reader.load
    try:
        load()
    except Exception as error:  # a damaged pickle may do anything that Python can
        raise damaged(archive.path, "PyTorch file", f"{name} is no pickle") from error
    yield from reader.found
