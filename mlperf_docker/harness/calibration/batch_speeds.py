"""Calibration before the test: batch size, and expected rate for LoadGen."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.errors import DeviceMemoryError, NotFiniteError

MULTI_STREAM_BATCH = 8
BUDGET_S = 10.0
ROUNDS = 3
LEAST_SAMPLES = 8
"""Samples that each size gets in a round: a single small batch would be too short to time."""
LONG_ENOUGH_S = 0.5
"""A size that has been timed for so long in a round needs no more samples."""
TOO_SLOW = 0.8
"""Share of the best rate below which a size is not looked at again."""
AS_GOOD = 0.98
"""Share of the best rate that counts as equal; of equal sizes the largest costs least outside the backend."""


Batches = Callable[[int, int], Arrays]
"""Gives a batch of so many samples to measure with; the second number counts the batches of that size before it."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds that batches of this size took."""

    batch: int
    seconds: tuple[float, ...]

    @property
    def mean_s(self) -> float:
        """Seconds a batch takes on average."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def rate(self) -> float:
        """Samples per second of the median batch."""
        return self.batch / median(self.seconds)

    @property
    def quickest_s(self) -> float:
        """Seconds of the quickest batch, which no other process disturbed."""
        return min(self.seconds)

    @property
    def best_rate(self) -> float:
        """Samples per second of the quickest batch."""
        return self.batch / self.quickest_s


def candidates(scenario: Scenario, fixed: int | None, batches: tuple[int, ...]) -> tuple[int, ...]:
    """Batch sizes to try. fixed: what the user asked for, which only Offline and Server can follow; else *batches*."""
    if scenario is Scenario.SINGLE_STREAM:
        return (1,)
    if scenario is Scenario.MULTI_STREAM:
        return (MULTI_STREAM_BATCH,)
    return (fixed,) if fixed else batches


def calibrate(
    predictor: Predictor, inputs: Arrays, sizes: tuple[int, ...], *, budget_s: float = BUDGET_S
) -> list[Speed]:
    """Measure the sizes on the first of *inputs*: at least as many as the largest size; smaller sets cut the list."""
    fitting = sorted({min(size, len(inputs[0])) for size in sizes})
    return calibrate_on(lambda size, _: tuple(array[:size] for array in inputs), predictor, fitting, budget_s=budget_s)


def calibrate_on(
    batches: Batches, predictor: Predictor, sizes: Sequence[int], *, budget_s: float = BUDGET_S
) -> list[Speed]:
    """Measure the sizes in turn, several rounds, so that a slow moment of the machine meets them all.

    sizes: ascending. What the budget leaves no time for is left out, but for the smallest size in the first round.
    """
    end = perf_counter() + budget_s
    times: dict[int, list[float]] = {}
    fitting = list(sizes)
    _timed(predictor, batches(fitting[0], 0))
    for _ in range(ROUNDS):
        for size in _worth_it(fitting, times):
            if times and perf_counter() + _expected_s(times, size) > end:
                break
            try:
                found = times.setdefault(size, [])
                found += _round(predictor, batches, size, len(found), end)
            except DeviceMemoryError:
                if size == fitting[0]:
                    raise
                fitting = [other for other in fitting if other < size]
                times.pop(size)
                break
    return [Speed(size, tuple(times[size])) for size in sorted(times)]


def _round(predictor: Predictor, batches: Batches, size: int, turn: int, end: float) -> list[float]:
    """Seconds of the calls that one size gets in a round: at least one, none begun after *end*."""
    found: list[float] = []
    calls = -(-LEAST_SAMPLES // size)
    while len(found) < calls and sum(found) < LONG_ENOUGH_S and not (found and perf_counter() > end):
        found.append(_timed(predictor, batches(size, turn + len(found))))
    return found


def _timed(predictor: Predictor, inputs: Arrays) -> float:
    start = perf_counter()
    with suppress(NotFiniteError):  # which the test itself will say
        predictor.predict(inputs)
    return perf_counter() - start


def _expected_s(times: dict[int, list[float]], samples: int) -> float:
    """Seconds that so many samples will take, going by the largest size measured."""
    size = max(times)
    return samples * min(times[size]) / size


def _worth_it(sizes: list[int], times: dict[int, list[float]]) -> list[int]:
    """The sizes without those that have been clearly slower than another."""
    rates = {size: size / median(found) for size, found in times.items()}
    limit = TOO_SLOW * max(rates.values(), default=0.0)
    return [size for size in sizes if rates.get(size, limit) >= limit]


def fastest(speeds: list[Speed]) -> Speed:
    """The largest batch whose rate is as good as the best."""
    best = max(speed.rate for speed in speeds)
    return [speed for speed in speeds if speed.rate >= AS_GOOD * best][-1]


def fastest_within(speeds: list[Speed], limit_s: float) -> Speed:
    """The fastest of the batches that take no longer than *limit_s*, else the smallest.

    By means: samples that differ in length take different times, and all of them count. Of equal rates the largest.
    """
    fitting = [speed for speed in speeds if speed.mean_s <= limit_s] or speeds[:1]
    best = max(speed.batch / speed.mean_s for speed in fitting)
    return [speed for speed in fitting if speed.batch / speed.mean_s >= AS_GOOD * best][-1]
