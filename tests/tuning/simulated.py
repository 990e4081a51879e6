"""Simulated systems under test: a queue with Poisson arrivals before batching servers, in virtual time.

The truth about a system is the highest rate at which, in the long run, no more than 1 % of queries take longer than the
bound. `python -m tests.tuning.simulated` finds it for PEAKS anew.
"""

import bisect
import functools
import heapq
import itertools
import math
import random
from dataclasses import dataclass

from mlperf_docker.tuning.peak import ABORT_FACTOR, Ask, Peak, PeakSearch, Rated

FULL_S = 600.0
LEAST_QUERIES = 1001
MOST_QUERIES = 500_000
Draw = random.Random

PEAKS = (
    *(230.7, 80.2, 194.0, 108.8, 172.0, 66.6, 120.0, 98.7, 66.0, 154.2),
    *(118.9, 83.0, 81.5, 77.7, 95.2, 61.9, 111.0, 77.9, 58.7, 235.3),
)
"""Truth about system 0, 1, …, to 0.2 %."""


@functools.cache
def schedule_at_one() -> list[float]:
    """Times of arrival at one query a second. LoadGen's schedule is the same in every run, too."""
    draw = Draw(6).expovariate
    return list(itertools.accumulate(draw(1.0) for _ in range(MOST_QUERIES)))


def schedule(qps: float, duration_s: float) -> list[float]:
    """Times of arrival in a run of *duration_s*."""
    times = schedule_at_one()
    count = max(LEAST_QUERIES, bisect.bisect_right(times, qps * duration_s))
    return [each / qps for each in times[:count]]


def passes(queries: int, late: int) -> bool:
    """LoadGen's early stopping at p99: 99 % sure, with so many late, that no more than 1 % are."""
    if late >= 0.01 * queries:
        return False
    ways = math.lgamma(queries + 1) - math.lgamma(late + 1) - math.lgamma(queries - late + 1)
    term = math.exp(ways + late * math.log(0.01) + (queries - late) * math.log(0.99))
    total, count = 0.0, late
    while term > 1e-12 and count >= 0:
        total += term
        term *= count / (queries - count + 1) * 99
        count -= 1
    return total <= 0.01


@dataclass(frozen=True)
class Simulated:
    """System of *instances* that take what waits, up to *batch*, for fixed_s + sample_s each, times a random factor."""

    instances: int
    batch: int
    fixed_s: float
    sample_s: float
    jitter: float
    """Standard deviation of the factor's logarithm."""
    bound_s: float

    @property
    def capacity(self) -> float:
        """Samples per second in full batches."""
        mean = math.exp(self.jitter**2 / 2)
        return self.instances * self.batch / ((self.fixed_s + self.batch * self.sample_s) * mean)

    def latencies(self, due: list[float], draw: Draw, most: float = math.inf) -> tuple[list[float], bool]:
        """Latencies of queries that come at the times *due*, and whether more than *most* waited at a time."""
        free = [0.0] * self.instances
        found: list[float] = []
        place, count = 0, len(due)
        while place < count:
            start = max(free[0], due[place])
            if place + most < count and due[int(place + most)] <= start:
                return found, True
            end = place + 1
            while end < count and end - place < self.batch and due[end] <= start:
                end += 1
            took = (self.fixed_s + self.sample_s * (end - place)) * math.exp(self.jitter * draw.gauss(0.0, 1.0))
            heapq.heapreplace(free, start + took)
            found += [start + took - arrived for arrived in due[place:end]]
            place = end
        return found, False

    def late(self, found: list[float]) -> int:
        return sum(each > self.bound_s for each in found)

    def rated(self, qps: float, duration_s: float, draw: Draw, *, full: bool) -> Rated:
        """Trial of a rate, judged as LoadGen does."""
        most = math.inf if full else max(64.0, ABORT_FACTOR * self.bound_s * qps)
        found, aborted = self.latencies(schedule(qps, duration_s), draw, most)
        p99_s = sorted(found)[int(0.99 * len(found))] if found else math.inf
        valid = not aborted and passes(len(found), self.late(found))
        return Rated(qps, full, valid, p99_ns=p99_s * 1e9, bound_ns=self.bound_s * 1e9, aborted=aborted)

    def peak(self, queries: int = 400_000) -> float:
        """Find the truth."""
        low, high = 0.02 * self.capacity, self.capacity
        while high / low > 1.002:
            middle = math.sqrt(low * high)
            found, _ = self.latencies(schedule(middle, queries / middle), Draw(2))
            low, high = (middle, high) if self.late(found) <= 0.01 * len(found) else (low, middle)
        return low


def system(seed: int) -> Simulated:
    """A system of some sort: of one to eight instances, batching or not, steady or not."""
    draw = Draw(seed)
    instances, batch = draw.choice((1, 1, 2, 4, 8)), draw.choice((1, 1, 4, 8, 16))
    sample_s = draw.uniform(0.003, 0.012) * instances
    fixed_s = draw.uniform(0.0, 2.0) * sample_s if batch > 1 else 0.0
    jitter = draw.choice((0.02, 0.05, 0.1, 0.2, 0.3))
    bound_s = (fixed_s + batch * sample_s) * draw.uniform(3.0, 10.0)
    return Simulated(instances, batch, fixed_s, sample_s, jitter, bound_s)


def searched(sut: Simulated, seed: int) -> tuple[Peak, list[Rated]]:
    """Search to the end, after an Offline run that is off by up to a tenth: the outcome, and the trials of rates."""
    offline = sut.capacity * Draw(seed).uniform(0.9, 1.02)
    search = PeakSearch(0.7 * offline, FULL_S, offline)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        duration_s = FULL_S if step.full else search.short_s(step.qps)
        tried.append(sut.rated(step.qps, duration_s, Draw(f"{seed} {step}"), full=step.full))
    return step, tried


if __name__ == "__main__":
    for number in range(20):
        print(f"{system(number).peak():.1f},", end=" ", flush=True)  # noqa: T201
