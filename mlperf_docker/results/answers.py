"""Answers of two runs, sample by sample, out of the accuracy logs that LoadGen wrote."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOG = "mlperf_log_accuracy.json"
_ENTRY = re.compile(rb'"qsl_idx"\s*:\s*(\d+)\s*,\s*"data"\s*:\s*"([0-9A-Fa-f]*)"')
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class AnswersBeside:
    """Answers of one run beside those of another to the same samples."""

    compared: int
    """Samples that both answered."""
    equal: int
    """Answers that are the same, byte for byte."""
    alone: int
    """Samples that only one of them answered."""
    other_length: int
    """Answers of another length."""
    largest_difference: float | None
    """Of two numbers in the same place of answers of equal length; None where all of these are equal."""

    @property
    def all_equal(self) -> bool:
        """Whether every sample was answered alike."""
        return self.compared > 0 and self.equal == self.compared and not self.alone

    def __str__(self) -> str:
        """For people: `64 of 64 equal`, and how far the others are apart."""
        parts = [f"{self.equal} of {self.compared} equal"]
        if self.largest_difference is not None:
            parts.append(f"largest difference {self.largest_difference:.3g}")
        parts += [f"{self.other_length} of another length"] if self.other_length else []
        parts += [f"{self.alone} answered by one alone"] if self.alone else []
        return ", ".join(parts)


@dataclass(frozen=True)
class _Log:
    """An accuracy log; what is in memory is where answers stand, and not the answers, which may take gigabytes."""

    path: Path
    places: dict[int, int]

    def answer(self, sample: int) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(self.places[sample])
            found = _ENTRY.search(stream.readline())
        return bytes.fromhex(found[2].decode()) if found else b""


def compare(ours: Path, theirs: Path) -> AnswersBeside | None:
    """Compare the answers in two runs' folders; None where one has no accuracy log."""
    if not all((folder / LOG).is_file() for folder in (ours, theirs)):
        return None
    first, second = _read(ours / LOG), _read(theirs / LOG)
    both = sorted(first.places.keys() & second.places.keys())
    equal, other, largest = 0, 0, 0.0
    for sample in both:
        a, b = first.answer(sample), second.answer(sample)
        equal += a == b
        other += len(a) != len(b)
        largest = max(largest, _difference(a, b))
    alone = len(first.places.keys() ^ second.places.keys())
    return AnswersBeside(len(both), equal, alone, other, largest if equal + other < len(both) else None)


def _read(path: Path) -> _Log:
    """The first answer to each sample: LoadGen writes one on each line."""
    places: dict[int, int] = {}
    for offset, line in _lines(path):
        found = _ENTRY.search(line)
        if found:
            places.setdefault(int(found[1]), offset)
    return _Log(path, places)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        offset = 0
        for line in stream:
            yield offset, line
            offset += len(line)


def _difference(a: bytes, b: bytes) -> float:
    """The largest difference of two numbers in the same place; 0 for answers that are equal, or of other lengths.

    Answers are 32-bit floating-point numbers, or bytes where their length is no multiple of that.
    """
    if a == b or len(a) != len(b):
        return 0.0
    kind = "f" if len(a) % _FLOAT_BYTES == 0 else "B"
    return max(abs(x - y) for x, y in zip(array(kind, a), array(kind, b), strict=True))
