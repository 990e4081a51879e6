"""Scores of an accuracy run: how a value is compared with its target."""

from dataclasses import dataclass
from enum import StrEnum

Bound = float | tuple[float, float]
"""A target: one number, or the least and the greatest value where the sense is `between`."""


class Sense(StrEnum):
    """Comparison of a score's value with its target."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BETWEEN = "between"
    EXACTLY = "exactly"
    """The value of a synthetic run, which is known beforehand."""


@dataclass(frozen=True)
class Target:
    """The targets of one score in the closed division, as images.yaml has them."""

    metric: str
    unit: str
    reference: float
    sense: Sense
    target: Bound
    high_target: Bound | None = None
    """The bound of the higher level, None if the benchmark has one level."""


def reaches(value: float, sense: Sense, target: Bound, tolerance: float = 0.0) -> bool:
    """Whether *value* meets *target*; *tolerance* is how far an exact score may be off. NaN meets none."""
    if isinstance(target, tuple):
        least, greatest = target
        return least <= value <= greatest
    if sense is Sense.EXACTLY:
        return abs(value - target) <= tolerance
    return value <= target if sense is Sense.AT_MOST else value >= target


def bound_text(sense: Sense, target: Bound, digits: int | None = None) -> str:
    """A target for people: `75.6954`, `at most 6.2`, `23.01 to 23.95`; *digits* after the point, None for all."""
    if isinstance(target, tuple):
        return " to ".join(_number(each, digits) for each in target)
    return f"{'at most ' if sense is Sense.AT_MOST else ''}{_number(target, digits)}"


def _number(value: float, digits: int | None) -> str:
    return str(value) if digits is None else f"{value:.{digits}f}"
