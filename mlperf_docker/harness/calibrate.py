"""A short measurement before the test: the batch size, and the hints that LoadGen sizes its queries by."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from mlperf_docker.harness.backends.base import Arrays, Predictor
from mlperf_docker.harness.names import Scenario

BATCHES = (1, 2, 4, 8, 16, 32)
MULTI_STREAM_BATCH = 8
BUDGET_S = 6.0
ENOUGH_S = 0.04
LEAST_GAIN = 1.01
"""A larger batch must be this much faster to be worth its memory."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds a batch of this size takes: the mean, and the best of the repetitions."""

    batch: int
    mean_s: float
    best_s: float

    @property
    def best_rate(self) -> float:
        """Samples per second at best."""
        return self.batch / self.best_s


def measure(predictor: Predictor, inputs: Arrays, batch: int) -> Speed:
    """Run batches of this size for a moment, after two runs that warm up."""
    part = tuple(array[:batch] for array in inputs)
    warm = _timed(lambda: predictor.predict(part))
    if warm < ENOUGH_S:
        warm = _timed(lambda: predictor.predict(part))
    repetitions = max(2, min(50, int(ENOUGH_S / max(warm, 1e-7))))
    times = [_timed(lambda: predictor.predict(part)) for _ in range(repetitions)]
    return Speed(batch, sum(times) / len(times), min(times))


def _timed(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def candidates(scenario: Scenario, fixed: int | None) -> tuple[int, ...]:
    """Batch sizes to try. fixed: what the user asked for, which only Offline and Server can follow."""
    if scenario is Scenario.SINGLE_STREAM:
        return (1,)
    if scenario is Scenario.MULTI_STREAM:
        return (MULTI_STREAM_BATCH,)
    return (fixed,) if fixed else BATCHES


def calibrate(
    predictor: Predictor, inputs: Arrays, sizes: tuple[int, ...], *, budget_s: float = BUDGET_S
) -> list[Speed]:
    """Measure the sizes in turn, until one is clearly slower than the best or the time is used up.

    inputs: at least as many samples as the largest size; smaller sets cut the list.
    """
    speeds: list[Speed] = []
    end = perf_counter() + budget_s
    for size in sizes:
        if speeds and (size > len(inputs[0]) or perf_counter() + 3 * speeds[-1].mean_s * size / speeds[-1].batch > end):
            break
        speeds.append(measure(predictor, inputs, min(size, len(inputs[0]))))
        if speeds[-1].best_rate < 0.8 * max(speed.best_rate for speed in speeds):
            break
    return speeds


def fastest(speeds: list[Speed]) -> Speed:
    """The best rate; of nearly equal ones the smallest batch."""
    chosen = speeds[0]
    for speed in speeds[1:]:
        if speed.best_rate > chosen.best_rate * LEAST_GAIN:
            chosen = speed
    return chosen


def largest_within(speeds: list[Speed], limit_s: float) -> Speed:
    """The largest batch that takes no longer than *limit_s*, else the smallest."""
    fitting = [speed for speed in speeds if speed.mean_s <= limit_s]
    return fitting[-1] if fitting else speeds[0]
