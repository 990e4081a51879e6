"""Scales of a picture's axes: values to positions, and round values to mark."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEW = 2
"""Marks of which a logarithmic axis that spans less than two decades has more than the decades themselves."""


class Spacing(StrEnum):
    """Spacing of an axis."""

    EVEN = "even"
    DECADES = "decades"
    """Equal factors take equal lengths; values are above 0."""
    NINES = "nines"
    """Percentiles, 0 to below 100: 0, 90, 99 and 99.9 are equally far apart."""


@dataclass(frozen=True)
class Scale:
    """Positions of values: the least at 0, the greatest at 1."""

    spacing: Spacing
    least: float
    greatest: float

    def position(self, value: float) -> float:
        """The place of *value* between 0 and 1; values outside are put at the end."""
        low, high, at = (_stretched(self.spacing, each) for each in (self.least, self.greatest, value))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def marks(self, count: int = 5) -> tuple[float, ...]:
        """Round values within the scale, about *count* of them."""
        if self.spacing is Spacing.NINES:
            return tuple(each for each in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99) if each <= self.greatest)
        found = _decades(self.least, self.greatest) if self.spacing is Spacing.DECADES else ()
        return found if len(found) > _FEW else _even(self.least, self.greatest, count)


def even(values: Iterable[float], count: int = 5) -> Scale:
    """A scale from 0 to a round value that holds all *values*, which are not negative."""
    greatest = max((each for each in values if math.isfinite(each)), default=0.0) or 1.0
    step = _step(greatest, count)
    return Scale(Spacing.EVEN, 0.0, step * math.ceil(round(greatest / step, 9)))


def around(values: Sequence[float]) -> Scale:
    """An even scale around *values*, with a twentieth of their span on each side; it need not hold 0."""
    low, high = min(values), max(values)
    margin = (high - low) / 20 or abs(high) / 20 or 0.5
    return Scale(Spacing.EVEN, low - margin, high + margin)


def decades(values: Iterable[float]) -> Scale:
    """A logarithmic scale around *values*, those that are above 0."""
    known = [each for each in values if 0 < each < math.inf] or [1.0]
    return Scale(Spacing.DECADES, min(known) / 1.2, max(known) * 1.2)


def nines(values: Iterable[float]) -> Scale:
    """A scale of percentiles up to the greatest of *values*, which are below 100."""
    return Scale(Spacing.NINES, 0.0, max(values))


def _stretched(spacing: Spacing, value: float) -> float:
    if spacing is Spacing.DECADES:
        return math.log10(value) if value > 0 else -math.inf
    return -math.log10(max(1e-9, 1 - value / 100)) if spacing is Spacing.NINES else value


def _decades(least: float, greatest: float) -> tuple[float, ...]:
    """Powers of ten within the bounds; of less than two decades their halves and fifths too."""
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1)
    wide = math.log10(greatest / least) > _FEW
    factors = (1.0,) if wide else (1.0, 2.0, 5.0)
    return tuple(
        value for power in powers for factor in factors if least <= (value := factor * 10.0**power) <= greatest
    )


def _even(least: float, greatest: float, count: int) -> tuple[float, ...]:
    step = _step(greatest - least, count)
    first = math.ceil(round(least / step, 9))
    last = math.floor(round(greatest / step, 9))
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _step(span: float, count: int) -> float:
    """The round step that cuts *span* into at most *count* parts."""
    power = 10.0 ** math.floor(math.log10(span / count))
    return next(each * power for each in (*_STEPS, 20.0) if span / (each * power) <= count + 1e-9)
