"""JPEG entropy-coded data, checked code by code, for the few files that libjpeg complains about.

libjpeg tells of a file only what it notices first, and surplus bytes may be a camera's habit as well as what is left
over where some data were lost and the decoder found its way again. Here every block must be what an encoder writes.
Source: ITU-T T.81, annexes B.1, F.1.2, F.2.2 and G.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.samples.jpeg import SOS, segments

MOST_BYTES = 16 << 20
"""Of a file that is looked at: it takes 17 times as much, and seconds for each MiB."""
ALIKE = 64
"""Bytes in a row that no photograph's data have, but a hole."""
LEFT, FEW_KINDS, MANY_KINDS = 16, 4, 100
"""Bytes left over from which on it is asked whether they are blocks. Of few different values they are none; so many
different ones neither a filling nor a text has."""

_DHT, _DRI, _SOF = 0xC4, 0xDD, (0xC0, 0xC1, 0xC2)
_PROGRESSIVE = 0xC2
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_ALIKE = re.compile(rb"(.)\1{%d}" % (ALIKE - 1), re.DOTALL)
_EOB, _BLOCK, _LARGEST = 128, 64, 15


class _DamageError(Exception):
    """Data that no encoder writes."""


@dataclass(frozen=True, slots=True)
class _Codes:
    """A Huffman table, by the next 16 bits: how long the code is (0: there is none), and what it says."""

    length: bytes
    symbol: bytes

    def means(self) -> bytes:
        """Bits of a code for a mean and of the number behind it, whose size the symbol is; 0 where none can be."""
        return self._steps(self._symbols, self._symbols <= _LARGEST)

    def others(self) -> tuple[bytes, bytes]:
        """The same for other coefficients, whose size is half of the symbol, and how far a code goes on in a block."""
        size, run = self._symbols & 15, self._symbols >> 4
        steps = self._steps(size, (size > 0) | (run == 0) | (run == _LARGEST))
        return steps, np.where(self._symbols == 0, _EOB, run + 1).astype(np.uint8).tobytes()

    @property
    def _symbols(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.symbol, dtype=np.uint8)

    def _steps(self, size: NDArray[Any], possible: NDArray[np.bool_]) -> bytes:
        length = np.frombuffer(self.length, dtype=np.uint8)
        return np.where(possible & (length > 0), length + size, 0).astype(np.uint8).tobytes()


def _codes(counts: bytes, symbols: bytes) -> _Codes:
    length, symbol = bytearray(1 << 16), bytearray(1 << 16)
    code, at = 0, 0
    for bits, count in enumerate(counts, start=1):
        for each in symbols[at : at + count]:
            first, span = code << (16 - bits), 1 << (16 - bits)
            if first + span > 1 << 16:
                raise _DamageError("a Huffman table has too many codes")
            length[first : first + span] = bytes([bits]) * span
            symbol[first : first + span] = bytes([each]) * span
            code += 1
        at += count
        code <<= 1
    return _Codes(bytes(length), bytes(symbol))


@dataclass(slots=True)
class _Component:
    """A colour."""

    horizontal: int
    vertical: int
    across: int
    """Blocks across."""
    down: int
    """Blocks down."""
    nonzero: list[int] = field(default_factory=list)
    """For each block, a bit per coefficient that a progressive scan has set."""
    missing: list[int] = field(default_factory=lambda: [16] * _BLOCK)
    """Bits of each coefficient that no scan has told yet."""


@dataclass(slots=True)
class _Picture:
    """State of the headers up to a scan."""

    progressive: bool = False
    mcus: int = 0
    components: dict[int, _Component] = field(default_factory=dict)
    tables: dict[int, _Codes] = field(default_factory=dict)
    interval: int = 0


@dataclass(frozen=True, slots=True)
class _Scan:
    """Header of a scan: components with their tables' numbers, coefficients, and whether it refines."""

    components: Sequence[tuple[_Component, int, int]]
    first: int
    last: int
    refines: bool
    missing: int


def damage(data: bytes) -> str | None:
    """Say what is wrong with the picture data of a JPEG; None where nothing is, or where it is of a rare kind."""
    if len(data) > MOST_BYTES:
        return None
    picture = _Picture()
    try:
        for marker, body, scan in segments(data):
            if marker in _SOF:
                _read_frame(picture, marker, body)
            elif marker == _DHT:
                _read_tables(picture.tables, body)
            elif marker == _DRI:
                picture.interval = int.from_bytes(body[:2], "big")
            elif marker == SOS and picture.components:
                _look(picture, _read_scan(picture, body), scan)
        if any(any(component.missing) for component in picture.components.values()):
            return "a scan is missing"
    except _DamageError as problem:
        return str(problem)
    except (LookupError, ValueError, ArithmeticError):
        return None  # a header that says what no picture has: for the decoder to judge
    return None


def _read_frame(picture: _Picture, marker: int, body: bytes) -> None:
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    factors = [(body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, 6 + 3 * body[5], 3)]
    across, down = max(h for _, h, _ in factors), max(v for _, _, v in factors)
    picture.progressive = marker == _PROGRESSIVE
    picture.mcus = _parts(width, 8 * across) * _parts(height, 8 * down)
    for number, h, v in factors:
        size = _parts(_parts(width * h, across), 8), _parts(_parts(height * v, down), 8)
        # A block at the edge may be there only for the sake of whole MCUs: room for both ways of counting.
        blocks = picture.mcus * h * v if picture.progressive else 0
        picture.components[number] = _Component(h, v, *size, [0] * blocks)


def _parts(whole: int, size: int) -> int:
    return -(-whole // size)


def _read_tables(tables: dict[int, _Codes], body: bytes) -> None:
    while body:
        counts = body[1:17]
        total = sum(counts)
        tables[body[0]] = _codes(counts, body[17 : 17 + total])
        body = body[17 + total :]


def _read_scan(picture: _Picture, body: bytes) -> _Scan:
    count = body[0]
    chosen = [(picture.components[body[at]], body[at + 1] >> 4, body[at + 1] & 15) for at in range(1, 1 + 2 * count, 2)]
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    return _Scan(chosen, first, last, bits >> 4 > 0, bits & 15)


def _look(picture: _Picture, scan: _Scan, data: bytes) -> None:
    """Walk through a scan, from restart to restart."""
    single = scan.components[0][0] if len(scan.components) == 1 else None
    total = single.across * single.down if single else picture.mcus
    interval = picture.interval or total
    pieces, plan = _RESTART.split(data), _plan(picture, scan)
    if len(pieces) != _parts(total, interval):
        raise _DamageError(f"{len(pieces)} stretches between restarts, not {_parts(total, interval)}")
    for number, piece in enumerate(pieces):
        start = number * interval
        _check(picture, scan, plan, range(start, min(start + interval, total)), piece)
    for component, _, _ in scan.components:
        component.missing[scan.first : scan.last + 1] = [scan.missing] * (scan.last + 1 - scan.first)


def _check(picture: _Picture, scan: _Scan, plan: "_Plan", units: range, piece: bytes) -> None:
    """Walk through one stretch; *units* are its MCUs, or a single component's blocks."""
    # 0xFF before a marker only fills; as data it has a 0 behind it.
    plain = piece.rstrip(b"\xff").replace(b"\xff\x00", b"\xff")
    bits = _bits(plain)
    try:
        end = _walk(picture, scan, plan, units, bits)
    except IndexError:
        raise _DamageError("the data end too early") from None
    left = len(bits) - end
    if left < 0:
        raise _DamageError("the data end too early")
    fill = bits[end] >> (16 - left % 8) if left % 8 else 0
    if fill not in (0, (1 << left % 8) - 1):
        raise _DamageError("the last block does not end where the data do")
    rest = left // 8
    hole = _ALIKE.search(plain[: len(plain) - rest])
    if hole and not _is_flat(picture, scan, hole[1][0]):
        raise _DamageError(f"{ALIKE} bytes or more are alike")
    kinds = len(set(plain[len(plain) - rest :]))
    if kinds > MANY_KINDS:
        raise _DamageError(f"{rest} bytes are left over")
    if rest >= LEFT and kinds > FEW_KINDS and not picture.progressive:
        _check_rest(plan, bits, end)


def _is_flat(picture: _Picture, scan: _Scan, byte: int) -> bool:
    """Whether bytes of this kind may stand for blocks without any detail."""
    for _, dc, ac in scan.components:
        codes = picture.tables[dc if picture.progressive and scan.first == 0 else 0x10 | ac]
        if codes.symbol[byte << 8 | byte] & 15 == 0:
            return True
    return False


def _bits(plain: bytes) -> "memoryview[int]":
    """The 16 bits from each bit on; behind the end are ones, which are no code."""
    padded = np.frombuffer(plain + b"\xff\xff", dtype=np.uint8).astype(np.uint32)
    three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    sixteen: Any = (three[:, None] >> shifts & 0xFFFF).astype(np.uint16).reshape(-1)
    return memoryview(sixteen)


def _check_rest(plan: "_Plan", bits: "memoryview[int]", at: int) -> None:
    """Raise _DamageError where what is left over once was blocks: it can be walked through to its very end."""
    try:
        while len(bits) - at >= 8:
            at = _walk_blocks(plan, 1, bits, at)
    except (IndexError, _DamageError):
        return
    left = len(bits) - at
    if left == 0 or (left > 0 and bits[at] >> (16 - left) == (1 << left) - 1):
        raise _DamageError("blocks are left over")


_Plan = Sequence[tuple[bytes, bytes, bytes]]


def _plan(picture: _Picture, scan: _Scan) -> _Plan:
    """For each block of an MCU: steps of the first code, of the others, and how far these go on."""
    plan: list[tuple[bytes, bytes, bytes]] = []
    for component, dc, ac in scan.components:
        means = picture.tables[dc].means() if scan.first == 0 and not scan.refines else b""
        others = (b"", b"") if picture.progressive else picture.tables[0x10 | ac].others()
        plan += repeat((means, *others), _blocks(scan, component))
    return plan


def _walk(picture: _Picture, scan: _Scan, plan: _Plan, units: range, bits: "memoryview[int]") -> int:
    """The bit where the last unit ends."""
    if not picture.progressive:
        return _walk_blocks(plan, len(units), bits, 0)
    if scan.first == 0:
        return len(units) * len(plan) if scan.refines else _walk_means(plan, len(units), bits)
    component, _, table = scan.components[0]
    walk = _walk_refining if scan.refines else _walk_band
    return walk(component.nonzero, picture.tables[0x10 | table], scan, units, bits)


def _blocks(scan: _Scan, component: _Component) -> int:
    return component.horizontal * component.vertical if len(scan.components) > 1 else 1


def _walk_blocks(plan: _Plan, units: int, bits: "memoryview[int]", at: int) -> int:
    for _ in repeat(None, units):
        for means, steps, jumps in plan:
            step = means[bits[at]]
            place = 1
            while step and place < _BLOCK:
                at += step
                following = bits[at]
                step = steps[following]
                place += jumps[following]
            if not step or _BLOCK < place < _EOB:
                raise _DamageError("a block with a code that is none" if not step else "a block that is too long")
            at += step
    return at


def _walk_means(plan: _Plan, units: int, bits: "memoryview[int]") -> int:
    at = 0
    for _ in repeat(None, units):
        for means, _, _ in plan:
            step = means[bits[at]]
            if not step:
                raise _DamageError("a block with a code that is none")
            at += step
    return at


def _walk_band(nonzero: list[int], codes: _Codes, scan: _Scan, units: range, bits: "memoryview[int]") -> int:
    at = skipped = 0
    for unit in units:
        if skipped:
            skipped -= 1
            continue
        place = scan.first
        while place <= scan.last:
            at, run, size = _code(codes, bits, at)
            if size == 0 and run < 15:
                skipped = (1 << run) - 1 + (bits[at] >> (16 - run) if run else 0)
                at += run
                break
            place += run
            if place > scan.last:
                raise _DamageError("a block that is too long")
            nonzero[unit] |= (size > 0) << place
            at += size
            place += 1
    return at


def _walk_refining(nonzero: list[int], codes: _Codes, scan: _Scan, units: range, bits: "memoryview[int]") -> int:
    at = skipped = 0
    for unit in units:
        place, known = scan.first, nonzero[unit]
        while not skipped and place <= scan.last:
            at, run, size = _code(codes, bits, at)
            if size > 1:
                raise _DamageError("a refinement of more than a bit")
            if size == 0 and run < 15:
                skipped = (1 << run) + (bits[at] >> (16 - run) if run else 0)
                at += run
                break
            at += size
            while place <= scan.last and (known >> place & 1 or run):
                at, run = (at + 1, run) if known >> place & 1 else (at, run - 1)
                place += 1
            if place > scan.last:
                raise _DamageError("a block that is too long")
            nonzero[unit] |= size << place
            place += 1
        if skipped:
            at += (known >> place & ((2 << scan.last - place) - 1)).bit_count() if place <= scan.last else 0
            skipped -= 1
    return at


def _code(codes: _Codes, bits: "memoryview[int]", at: int) -> tuple[int, int, int]:
    """Where the code at a bit ends, and its run and size."""
    following = bits[at]
    if not codes.length[following]:
        raise _DamageError("a block with a code that is none")
    symbol = codes.symbol[following]
    return at + codes.length[following], symbol >> 4, symbol & 15
