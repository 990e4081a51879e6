"""Scores, synthetic sets with known scores, and the parity of two backends."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A score. exact: the value must be the target itself (synthetic runs know it), not just reach it.

    tolerance: how far an exact score may be off; 0.0 still forgives rounding.
    """

    metric: str
    value: float
    target: float | None
    exact: bool
    line: str
    tolerance: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the target is met; without a target every score passes."""
        if self.target is None:
            return True
        return abs(self.value - self.target) <= self.tolerance + 1e-6 if self.exact else self.value >= self.target


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """A synthetic data set in the official layout, its weights, and what is known about it.

    data: its folder; weights: a safetensors file with canonical names.
    """

    data: Path
    weights: Path
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parity:
    """How two backends' outputs on the same samples differ.

    largest_difference: of any value, relative to the largest value of its tensor. agreement: share of decisions
    (labels, detections) that are the same.
    """

    largest_difference: float
    agreement: float
