"""Parser of Criteo's text lines: whole blocks at a time, eight characters per operation.

A line is a label, 13 whole numbers and 26 hexadecimal ones of up to 8 digits, with tabs between; a blank field is 0.
What ends a field is found first. Then the eight bytes before each end are read as one integer, the last character on
top; what belongs to the field before is masked off, and all eight digits are decoded together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.models.dlrm.dataset import COLUMNS, DENSE

Words = NDArray[np.uint64]

TAB, NEWLINE, MINUS = 9, 10, 45
WORD = 8
"""Characters that are decoded together."""
LARGEST = 2**31 - 1
OFFICIAL_RANGE = 40_000_000
"""Ids of the official weights are below."""
LONGEST = 1 << 16
"""Bytes after which a line must have ended; the longest that can be has 440."""
ENOUGH = 1000
"""Bad lines after which nobody needs to see more."""

_NUMBER = re.compile(rb"-?\d{1,10}$|$")
_CATEGORY = re.compile(rb"[0-9a-fA-F]{1,8}$|$")


def _lanes(byte: int) -> np.uint64:
    """The same value in each of the eight bytes."""
    return np.uint64(byte * 0x0101010101010101)


def _bits(value: int) -> np.uint64:
    return np.uint64(value)


_KEEP = np.array([0, *(~0 << 8 * (WORD - n) & 2**64 - 1 for n in range(1, WORD + 1))], dtype=np.uint64)
"""By the length of a field: the bytes of its word that belong to it."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that cannot be read."""

    line: int
    """Counted from 1 in its file."""
    reason: str


class _NotRegular(Exception):  # noqa: N818 (a finding: this block has to be looked at line by line)
    """A block with a line that cannot be read."""


def _hexadecimal(words: Words, keep: Words) -> NDArray[np.int64]:
    """Values of fields of hexadecimal digits. Raises _NotRegular where there is another character.

    Bit 6 tells letters from digits; from what was decoded each character is made again, and must be the same. After
    f that would go on to g and so on, whose digits have a fifth bit.
    """
    letter = words >> _bits(6) & _lanes(1)
    digit = (words & _lanes(0x0F)) + letter * _bits(9)
    above = digit + _lanes(6) >> _bits(4) & _lanes(1)
    again = digit + _lanes(0x30) + above * _bits(0x27)
    if (((words | letter << _bits(5)) ^ again | digit & _lanes(0x10)) & keep).any():
        raise _NotRegular
    pair = 0x000F000F000F000F
    two = (digit & _bits(pair)) << _bits(4) | digit >> _bits(8) & _bits(pair)
    four = (two & _bits(0x000000FF000000FF)) << _bits(8) | two >> _bits(16) & _bits(0x000000FF000000FF)
    return ((four & _bits(0xFFFF)) << _bits(16) | four >> _bits(32)).view(np.int64)


def _decimal(words: Words, keep: Words) -> NDArray[np.int64]:
    """Values of fields of decimal digits. Raises _NotRegular where there is another character."""
    digit = words & _lanes(0x0F)
    if (((digit | _lanes(0x30)) ^ words) & keep).any() or (digit + _lanes(6) & _lanes(0x10)).any():
        raise _NotRegular
    pair, quad = _bits(0x00FF00FF00FF00FF), _bits(0x0000FFFF0000FFFF)
    two = (digit & pair) * _bits(10) + (digit >> _bits(8) & pair)
    four = (two & quad) * _bits(100) + (two >> _bits(16) & quad)
    return ((four & _bits(0xFFFFFFFF)) * _bits(10000) + (four >> _bits(32))).view(np.int64)


def _regular(text: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The values of whole lines, (rows, 40). text: the lines, behind eight bytes of anything. Raises _NotRegular."""
    found = np.flatnonzero(text[WORD:] <= NEWLINE) + WORD
    if len(found) % COLUMNS:
        raise _NotRegular
    ends = found.reshape(-1, COLUMNS)
    stops = text[ends]
    if (stops[:, :-1] != TAB).any() or (stops[:, -1] != NEWLINE).any():
        raise _NotRegular
    starts = np.concatenate(([WORD], found[:-1] + 1)).reshape(-1, COLUMNS)
    lengths = ends - starts
    negative = text[starts[:, : 1 + DENSE]] == MINUS
    lengths[:, : 1 + DENSE] -= negative
    if (negative & (lengths[:, : 1 + DENSE] == 0)).any() or not lengths[:, 0].all():
        raise _NotRegular
    long = np.argwhere(lengths > WORD).tolist()
    numbers = [
        _long(text[ends[row, column] - lengths[row, column] : ends[row, column]], column) for row, column in long
    ]
    for row, column in long:
        lengths[row, column] = 0
    keep = _KEEP[lengths]
    overlapping = np.ndarray((len(text) - WORD + 1,), dtype="<u8", buffer=text.data, strides=(1,))
    words = overlapping[ends - WORD] & keep
    values = np.empty(ends.shape, dtype=np.int64)
    values[:, : 1 + DENSE] = _decimal(words[:, : 1 + DENSE], keep[:, : 1 + DENSE])
    for (row, column), number in zip(long, numbers, strict=True):
        values[row, column] = number
    values[:, : 1 + DENSE][negative] = 0
    values[:, 1 + DENSE :] = _hexadecimal(words[:, 1 + DENSE :], keep[:, 1 + DENSE :])
    if (values[:, 0] > 1).any() or negative[:, 0].any():
        raise _NotRegular
    return values


def _long(digits: NDArray[np.uint8], column: int) -> int:
    """A number with more digits than a word has, which only few have. Raises _NotRegular."""
    text = digits.tobytes()
    if column > DENSE or not text.isdigit() or int(text) > LARGEST:
        raise _NotRegular
    return int(text)


def _single(line: bytes) -> list[int] | str:
    """The values of one line, or why it has none."""
    fields = line.split(b"\t")
    if len(fields) != COLUMNS:
        return f"{len(fields)} columns instead of {COLUMNS}"
    for number, field in enumerate(fields):
        pattern, kind = (_NUMBER, "whole number") if number <= DENSE else (_CATEGORY, "hexadecimal number")
        if not pattern.match(field):
            return f"column {number + 1} is no {kind}: {field[:20].decode('ascii', 'backslashreplace')!r}"
    if not fields[0]:
        return "it has no label"
    values = [int(field or b"0") for field in fields[: 1 + DENSE]]
    if values[0] not in (0, 1):
        return f"the label is {values[0]}, not 0 or 1"
    if max(values) > LARGEST:
        return f"{max(values)} is larger than {LARGEST}"
    return [max(0, value) for value in values] + [int(field or b"0", 16) for field in fields[1 + DENSE :]]


def parse(text: NDArray[np.uint8], first_line: int) -> tuple[NDArray[np.int64], int, list[Bad]]:
    """Values (rows, 40) int64 of the lines in *text*, how many lines there are, and those that cannot be read.

    text: whole lines, behind eight bytes of anything. Negative numbers become 0, as upstream has it; categories are
    what the text says, up to 2**32 - 1.
    """
    try:
        values = _regular(text)
    except _NotRegular:
        return _line_by_line(text, first_line)
    return values, len(values), []


def _line_by_line(text: NDArray[np.uint8], first_line: int) -> tuple[NDArray[np.int64], int, list[Bad]]:
    *lines, rest = text[WORD:].tobytes().split(b"\n")
    values, bad = [], []
    for number, line in enumerate(lines, start=first_line):
        found = _single(line)
        if not isinstance(found, str):
            values.append(found)
            continue
        bad.append(Bad(number, found))
        if len(bad) >= ENOUGH:
            return np.array(values, dtype=np.int64).reshape(-1, COLUMNS), number + 1 - first_line, bad
    if rest:
        what = f"no end of line within {LONGEST} bytes" if len(rest) > LONGEST else "the file ends within this line"
        bad.append(Bad(first_line + len(lines), what))
    return np.array(values, dtype=np.int64).reshape(-1, COLUMNS), len(lines), bad


def blocks(stream: Any, size: int) -> Iterator[NDArray[np.uint8]]:  # noqa: ANN401 (a file, or one that unpacks)
    """Whole lines out of a binary *stream*, about *size* bytes at a time, each behind eight bytes of anything.

    A last line that is complete without its end gets one. One that may be cut off comes as it is, without its end, and
    so does what is too long for a line; this is the last block then.
    """
    rest = b""
    while data := stream.read(size):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield np.frombuffer(bytes(WORD) + rest + data[:cut], dtype=np.uint8)
            rest = data[cut:]
        else:
            rest += data
        if len(rest) > LONGEST:
            yield np.frombuffer(bytes(WORD) + rest, dtype=np.uint8)
            return
    if rest:
        end = b"\n" if _complete(rest) else b""
        yield np.frombuffer(bytes(WORD) + rest + end, dtype=np.uint8)


def _complete(line: bytes) -> bool:
    """Whether nothing can be missing from a line without its end: its last field has all digits that it may have."""
    fields = line.split(b"\t")
    return len(fields) == COLUMNS and len(fields[-1]) == WORD
