"""Bars: figures with their lengths on one scale."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A figure and the length of its bar, in percent of the longest beside it."""

    text: str
    share: float
    target: float | None = None
    """Position of the target's line; None if there is no target."""


def shares(values: Iterable[float | None]) -> list[float]:
    """Each value in percent of the greatest; 0 for what has no length: nothing, negative numbers, NaN and infinity."""
    lengths = [value if value is not None and 0 < value < math.inf else 0.0 for value in values]
    greatest = max(lengths, default=0.0) or 1.0
    return [round(100 * length / greatest, 2) for length in lengths]
