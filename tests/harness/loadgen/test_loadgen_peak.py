"""Search for the peak of a real LoadGen test, whose system sleeps for each sample."""

import json
import subprocess
import sys
from pathlib import Path

from mlperf_docker.tuning.peak import ABORT_FACTOR, Ask, Peak, PeakSearch, Rated
from tests.harness.loadgen.sleeping_sut import BOUND_S, SAMPLE_S
from tests.harness.process import environment
from tests.tries import in_time

FULL_S = 3.0
CAPACITY = 1 / SAMPLE_S


def rated(folder: Path, step: Ask, seconds: float) -> Rated:
    given = map(str, (step.qps, seconds, 0 if step.full else ABORT_FACTOR))
    line = [sys.executable, "-m", "tests.harness.loadgen.sleeping_sut", *given]
    done = subprocess.run(line, capture_output=True, text=True, cwd=folder, env=environment(), timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    drowned = any("outstanding" in error for error in found["errors"])
    return Rated(step.qps, step.full, found["valid"], found["p99_ns"], BOUND_S * 1e9, aborted=drowned)


def searched(folder: Path) -> tuple[Peak, list[Rated]]:
    search = PeakSearch(0.7 * CAPACITY, FULL_S, CAPACITY)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        tried.append(rated(folder, step, FULL_S if step.full else search.short_s(step.qps)))
    return step, tried


def test_the_peak_of_a_system_that_sleeps_is_below_its_capacity_and_valid(tmp_path: Path) -> None:
    """A sleep takes 2.1 to 2.2 ms, so that the peak is at some 0.85 of the rate that it says."""
    peak, tried = in_time(lambda: searched(tmp_path), lambda found: (found[0].qps or 0) > 0.5 * CAPACITY)
    assert peak.qps is not None
    assert 0.5 * CAPACITY < peak.qps < CAPACITY
    assert len(tried) <= 11
    assert [each.valid for each in tried if each.full and each.qps == peak.qps] == [True]


def test_a_rate_above_the_capacity_ends_early_and_is_told_as_drowned(tmp_path: Path) -> None:
    """A minute at four times the capacity, which would take four minutes to the end."""
    found = rated(tmp_path, Ask(4 * CAPACITY), 60.0)
    assert (found.aborted, found.valid, found.holds) == (True, False, False)
