"""SMBIOS tables of the firmware, as far as memory goes: structures 16 and 17 of DMTF's DSP0134.

Serial numbers and asset tags, which are in them too, are never read.
"""

import struct
from collections.abc import Iterator

from mlperf_docker.host.facts import MemoryModule
from mlperf_docker.host.tree import Tree

_PATH = "/sys/firmware/dmi/tables/DMI"
_MOST_BYTES = 1 << 20
_ARRAY, _MODULE = 16, 17
_KINDS = {
    0x18: "DDR3", 0x1A: "DDR4", 0x1D: "LPDDR3", 0x1E: "LPDDR4", 0x20: "HBM", 0x21: "HBM2", 0x22: "DDR5",
    0x23: "LPDDR5", 0x24: "HBM3",
}  # fmt: skip
_CORRECTS = {3: False, 4: False, 5: True, 6: True}
"""Memory error correction: none, parity, single-bit, multi-bit."""
_UNKNOWN, _EXTENDED, _IN_KIB = 0xFFFF, 0x7FFF, 0x8000


def tables(files: Tree) -> bytes:
    """Return the tables; nothing where they are not there, or root's."""
    return files.data(_PATH, _MOST_BYTES) or b""


def modules(found: bytes) -> Iterator[MemoryModule]:
    """Yield each module that is in its slot."""
    for each in _structures(found, _MODULE):
        if size := _size(each):
            speed = _word(each, 0x20) or _word(each, 0x15)
            known = speed not in (None, 0, _UNKNOWN)
            yield MemoryModule(size, _KINDS.get(_byte(each, 0x12) or 0), speed if known else None, 1)


def ecc(found: bytes, otherwise: bool | None) -> bool | None:  # noqa: FBT001  # a fact
    """Tell whether errors are corrected; *otherwise* where the tables do not tell."""
    known = [_CORRECTS[kind] for each in _structures(found, _ARRAY) if (kind := _byte(each, 0x06)) in _CORRECTS]
    return all(known) if known else otherwise


def _structures(found: bytes, kind: int) -> Iterator[bytes]:
    """Yield the structures of *kind*, without their texts. Ends where the tables are damaged."""
    start = 0
    while start + 4 <= len(found):
        length = found[start + 1]
        end = found.find(b"\0\0", start + length)
        if length < 4 or end < 0:  # no header
            return
        if found[start] == kind:
            yield found[start : start + length]
        start = end + 2


def _size(module: bytes) -> int | None:
    """Return the bytes of a module; None for an empty slot."""
    size = _word(module, 0x0C)
    if size in (None, 0, _UNKNOWN):
        return None
    if size == _EXTENDED:
        return ((_double(module, 0x1C) or 0) & 0x7FFFFFFF) << 20
    return (size & ~_IN_KIB) << 10 if size & _IN_KIB else size << 20


def _byte(structure: bytes, offset: int) -> int | None:
    return structure[offset] if offset < len(structure) else None


def _word(structure: bytes, offset: int) -> int | None:
    return struct.unpack_from("<H", structure, offset)[0] if offset + 2 <= len(structure) else None


def _double(structure: bytes, offset: int) -> int | None:
    return struct.unpack_from("<I", structure, offset)[0] if offset + 4 <= len(structure) else None
