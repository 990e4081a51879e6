"""Answers of two runs, sample by sample, out of the accuracy logs that LoadGen wrote."""

import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.reference_contract.reference import UNASKED, Numbers

LOG = "mlperf_log_accuracy.json"
_ENTRY = re.compile(rb'"qsl_idx"\s*:\s*(\d+)\s*,\s*"data"\s*:\s*"([0-9A-Fa-f]*)"')
_CODES = {Numbers.FLOAT32: "f", Numbers.INT64: "q", Numbers.UINT8: "B"}


@dataclass(frozen=True)
class AnswersBeside:
    """Answers of one run beside those of another to the same samples."""

    compared: int
    """Samples that both answered."""
    equal: int
    """Answers that are the same, number for number, in what both were asked."""
    alone: int
    """Samples that only one of them answered."""
    other_length: int
    """Answers of another length."""
    largest_difference: float | None
    """Of two numbers in the same place of answers of equal length; None where all of these are equal."""
    numbers: int = 0
    """Numbers in the answers that are not equal, of equal length."""
    differing: int = 0
    """Those of them that differ."""
    deviation: float | None = None
    """Standard deviation of ours among them; None for labels, and where all are equal."""
    more: int = 0
    """Numbers that the second run alone gave, as the padding of a sample."""

    @property
    def all_equal(self) -> bool:
        """Whether every sample was answered alike."""
        return self.compared > 0 and self.equal == self.compared and not self.alone

    def __str__(self) -> str:
        """For people: `64 of 64 equal`, and how far the others are apart."""
        parts = [f"{self.equal} of {self.compared} equal"]
        if self.largest_difference is not None:
            beside = "" if self.deviation is None else f" beside a deviation of {self.deviation:.3g}"
            parts.append(f"{self.differing} of the {self.numbers} numbers in the others differ")
            parts.append(f"largest difference {self.largest_difference:.3g}{beside}")
        parts += [f"{self.other_length} of another length"] if self.other_length else []
        parts += [f"{self.alone} answered by one alone"] if self.alone else []
        parts += [f"{self.more} numbers by the second alone, not compared"] if self.more else []
        return ", ".join(parts)


@dataclass
class _Tally:
    """Differences so far."""

    kind: Numbers
    equal: int = 0
    other_length: int = 0
    numbers: int = 0
    differing: int = 0
    largest: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    more: int = 0

    def take(self, a: bytes, b: bytes) -> None:
        """Compare one more pair of answers."""
        if a == b:
            self.equal += 1
        elif len(a) != len(b):
            self.other_length += 1
        else:
            code = _CODES[self.kind]
            code = "B" if len(a) % array(code).itemsize else code
            self._compare(array(code, a), array(code, b))

    def _compare(self, ours: "array[float]", theirs: "array[float]") -> None:
        asked = ours
        if UNASKED in ours:
            pairs = [(x, y) for x, y in zip(ours, theirs, strict=True) if x != UNASKED]
            self.more += len(ours) - len(pairs)
            asked, theirs = (array("f", each) for each in zip(*pairs, strict=True))
        differences = [abs(x - y) for x, y in zip(asked, theirs, strict=True) if x != y]
        if not differences:
            self.equal += 1
            return
        self.numbers += len(asked)
        self.differing += len(differences)
        self.largest = max(self.largest, *differences)
        self.total += sum(asked)
        self.squares += sum(x * x for x in asked)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of our numbers, where there are some that mean an amount."""
        if not self.numbers or self.kind is not Numbers.FLOAT32:
            return None
        return math.sqrt(max(0.0, self.squares / self.numbers - (self.total / self.numbers) ** 2))


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


def compare(ours: Path, theirs: Path, kind: Numbers = Numbers.FLOAT32) -> AnswersBeside | None:
    """Compare the answers in two runs' folders; None where one has no accuracy log."""
    if not all((folder / LOG).is_file() for folder in (ours, theirs)):
        return None
    first, second = _read(ours / LOG), _read(theirs / LOG)
    both = sorted(first.places.keys() & second.places.keys())
    tally = _Tally(kind)
    for sample in both:
        tally.take(first.answer(sample), second.answer(sample))
    return AnswersBeside(
        compared=len(both),
        equal=tally.equal,
        alone=len(first.places.keys() ^ second.places.keys()),
        other_length=tally.other_length,
        largest_difference=tally.largest if tally.numbers else None,
        numbers=tally.numbers,
        differing=tally.differing,
        deviation=tally.deviation,
        more=tally.more,
    )


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
