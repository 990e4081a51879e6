"""Answers of a compliance run compared with those of the accuracy run to the same samples.

The first value of an answer decides, as it does upstream; whole answers are compared too, and how far they differ told.
Source: mlcommons/inference, compliance/TEST01/verify_accuracy.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.samples.accuracy_log import IndexedLog

_AT_ONCE = 1 << 20
"""Values compared at a time."""


@dataclass(slots=True)
class AnswerComparison:
    """Counts of answers, as far as they are compared."""

    logged: int = 0
    """Answers of the compliance run."""
    compared: int = 0
    differing: int = 0
    first_element_differing: int = 0
    unknown: int = 0
    """Answers to samples that the accuracy run did not answer."""
    largest_difference: float | None = None
    samples: dict[int, None] = field(default_factory=dict)
    """Samples compared, in the order in which they occur first."""

    @property
    def passed(self) -> bool:
        """Whether the first values decide that the answers are the same."""
        return self.compared > 0 and not self.first_element_differing and not self.unknown

    def add(self, before: bytes, now: bytes, kind: DTypeLike) -> None:
        """Compare one answer with the accuracy run's."""
        self.compared += 1
        if before == now:
            self.largest_difference = self.largest_difference or 0.0
            return
        self.differing += 1
        self.first_element_differing += not same_first(before, now, kind)
        found = largest_difference(before, now, kind)
        if found is not None:
            self.largest_difference = max(found, self.largest_difference or 0.0)


def compare(reference: IndexedLog, log: Path, kind: DTypeLike) -> AnswerComparison:
    """Compare each answer in *log* with that of *reference*. kind: the type of their values. Raises SampleError."""
    found = AnswerComparison()
    for answer in accuracy_log.answers(log):
        found.logged += 1
        before = reference.find(answer.sample)
        if before is None:
            found.unknown += 1
            continue
        found.samples[answer.sample] = None
        found.add(before, answer.data, kind)
    return found


def same_first(before: bytes, now: bytes, kind: DTypeLike) -> bool:
    """Whether the first value is the same; of two answers of which one is empty, it is not."""
    size = np.dtype(kind).itemsize
    if len(before) < size or len(now) < size:
        return before == now
    return bool(np.frombuffer(before, kind, 1)[0] == np.frombuffer(now, kind, 1)[0])


def largest_difference(before: bytes, now: bytes, kind: DTypeLike) -> float | None:
    """The largest difference of two values in the same place, None where answers have no number in common.

    Answers of different length are compared as far as both go.
    """
    size = np.dtype(kind).itemsize
    count = min(len(before), len(now)) // size
    if not count:
        return None
    ours, theirs = np.frombuffer(before, kind, count), np.frombuffer(now, kind, count)
    found = [each for each in _differences(ours, theirs) if np.isfinite(each)]
    return max(found, default=0.0)


def _differences(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> Iterator[float]:
    """The largest difference of each part of the arrays."""
    for start in range(0, len(ours), _AT_ONCE):
        a, b = ours[start : start + _AT_ONCE], theirs[start : start + _AT_ONCE]
        yield float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
