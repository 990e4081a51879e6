"""Pace of a script, out of its completions, and what a run is told to expect of it."""

import json
from pathlib import Path

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.reference_harness.rates import expectation, pace
from mlperf_docker.reference_harness.rates.pace import Pace
from mlperf_docker.reference_harness.script import completions

STEADY = [(0.1 * number, 4) for number in range(10, 41)]
"""Batches of 4 each tenth of a second, the first after a second: 40 samples/s."""


def test_the_warm_up_is_no_part_of_a_pace() -> None:
    found = pace.of([(5.0, 4), *((5 + 0.1 * number, 4) for number in range(1, 31))])
    assert found
    assert found.typical == pytest.approx(40)
    assert found.quickest == pytest.approx(40)


def test_the_quickest_pace_is_that_of_the_part_that_nothing_disturbed() -> None:
    disturbed = [(4 + 0.4 * number, 4) for number in range(1, 11)]
    found = pace.of([*STEADY, *disturbed])
    assert found
    assert found.typical == pytest.approx(160 / 7)
    assert found.quickest == pytest.approx(40)


def test_a_moment_of_a_busy_machine_counts_no_more_than_twice_the_typical_pace() -> None:
    halted = [(3 + 0.9 * number, 4) for number in range(1, 15)]
    found = pace.of([*STEADY[:21], *halted])
    assert found
    assert found.typical < 10
    assert found.quickest == pytest.approx(2 * found.typical)


def test_completions_at_nearly_one_time_tell_no_more_than_the_whole() -> None:
    found = pace.of([(2.0, 32), (2.0001, 32)])
    assert found
    assert found.quickest == pytest.approx(32, rel=0.01)


def test_a_single_completion_tells_a_pace_and_none_does_not(tmp_path: Path) -> None:
    assert pace.of([(20.0, 1)]) == Pace(1 / 20, 1 / 20)
    assert pace.of([]) is None
    assert pace.read(tmp_path / "nothing.json") is None


def test_completions_are_read_from_a_file_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "completions.json").write_text(json.dumps(STEADY[::-1]))
    assert pace.read(tmp_path / "completions.json") == pace.of(STEADY)


@pytest.mark.parametrize(
    ("noted", "enough"),
    [
        ([5.0, 7.9], False),
        ([5.0, 8.0], True),
        ([14.0], False),
        ([14.0, 15.0], True),
        ([20.0], False),
        ([20.0, 20.1], True),
        ([30.0], True),
    ],
)
def test_a_script_is_watched_until_its_pace_is_told(noted: list[float], enough: bool) -> None:
    """Three seconds after the first completion; of a slow one two completions, or one that takes as long as the run."""
    assert completions.suffices([(each, 1) for each in noted], noted[-1], 30.0) is enough


def test_a_run_is_told_to_expect_more_than_the_quickest_pace() -> None:
    found = expectation.of_pace(Pace(100.0, 50.0), Scenario.OFFLINE, samples_per_query=1, equal_issue=False)
    assert found.qps == pytest.approx(125, rel=0.01)


def test_queries_of_a_stream_are_prepared_for_the_quickest_pace() -> None:
    found = expectation.of_pace(Pace(100.0, 50.0), Scenario.MULTI_STREAM, samples_per_query=8, equal_issue=False)
    assert found.latency_s == pytest.approx(0.08)


@pytest.mark.parametrize(("scenario", "equal_issue"), [(Scenario.SERVER, False), (Scenario.SINGLE_STREAM, True)])
def test_a_typical_pace_is_taken_where_too_much_does_harm(scenario: Scenario, equal_issue: bool) -> None:
    found = expectation.of_pace(Pace(100.0, 50.0), scenario, samples_per_query=1, equal_issue=equal_issue)
    assert found.latency_s == pytest.approx(0.02)
