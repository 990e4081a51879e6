"""Search for a peak on simulated systems of known truth, and step by step."""

import pytest

from mlperf_docker.tuning.peak import Ask, Peak, PeakSearch, Rated
from tests.tuning.simulated import FULL_S, PEAKS, Draw, passes, searched, system

NEAR = 0.03
MOST_RUNS = 12
"""Of LoadGen, the Offline run among them."""


def rated(qps: float, p99_ms: float, *, full: bool = False, valid: bool | None = None, bound_ms: float = 100) -> Rated:
    held = p99_ms <= bound_ms if valid is None else valid
    return Rated(qps, full, held, p99_ns=p99_ms * 1e6, bound_ns=bound_ms * 1e6)


@pytest.mark.parametrize("seed", range(len(PEAKS)))
def test_a_peak_is_found_within_three_percent_in_few_runs_and_is_confirmed(seed: int) -> None:
    peak, tried = searched(system(seed), seed)
    assert peak.qps == pytest.approx(PEAKS[seed], rel=NEAR)
    assert len(tried) + 1 <= MOST_RUNS
    (confirmation,) = [each for each in tried if each.full and each.qps == peak.qps]
    assert confirmation.valid
    assert not [each for each in tried if each.full and not each.valid and each.qps <= confirmation.qps]


def test_the_truth_of_a_system_is_what_the_simulation_gives() -> None:
    """With fewer queries, on one system: the table is not made up."""
    assert system(3).peak(queries=60_000) == pytest.approx(PEAKS[3], rel=0.02)


def test_early_stopping_wants_as_many_queries_as_loadgen_does() -> None:
    for late, least in ((0, 459), (1, 662), (2, 838), (3, 1001), (5, 1307), (10, 2010), (50, 6898), (100, 12571)):
        assert passes(least, late)
        assert not passes(least - 1, late)


def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been() -> None:
    sut, search = system(5), PeakSearch(50.0, FULL_S, 70.0)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        assert PeakSearch(50.0, FULL_S, 70.0).step(list(tried)) == step
        tried.append(sut.rated(step.qps, search.short_s(step.qps), Draw(str(step)), full=step.full))


def test_a_peak_whose_confirmation_failed_is_never_reported() -> None:
    """A system that holds every rate for a short while, and none for long."""
    search = PeakSearch(10.0, FULL_S, 100.0)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        tried.append(rated(step.qps, 101 if step.full else 50, full=step.full))
    assert step == Peak(None, "no rate of 11 trials was confirmed")
    rates = [each.qps for each in tried if each.full]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)


def test_a_search_ends_where_a_single_query_takes_longer_than_the_bound() -> None:
    search = PeakSearch(70.0, FULL_S, 100.0)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        tried.append(rated(step.qps, 15, bound_ms=10))
    assert step.qps is None
    assert "single query" in step.why
    assert len(tried) < 11


def test_a_search_ends_where_lower_rates_would_take_too_long() -> None:
    """A full run of 4 s, and a system that is slow: a thousand queries at 1 a second take a quarter of an hour."""
    search = PeakSearch(70.0, 4.0, 100.0)
    tried: list[Rated] = []
    while isinstance(step := search.step(tried), Ask):
        tried.append(rated(step.qps, 2000 * step.qps))
    assert step.qps is None
    assert "down to 16.7 queries/s" in step.why
    assert min(each.qps for each in tried) == pytest.approx(1001 / 60)


def test_a_rate_that_drowned_is_left_by_a_large_step() -> None:
    drowned = Rated(100.0, full=False, valid=False, p99_ns=1e6, bound_ns=1e8, aborted=True)
    step = PeakSearch(100.0, FULL_S, 150.0).step([drowned])
    assert isinstance(step, Ask)
    assert (step.qps, step.full) == (40.0, False)


def test_short_trials_end_where_they_tell_nothing_more() -> None:
    tried = [rated(100, 90), rated(105, 110)]
    step = PeakSearch(100.0, FULL_S).step(tried)
    assert isinstance(step, Ask)
    assert step.full
    assert 100 <= step.qps < 105
    assert PeakSearch(100.0, FULL_S, only_short=True).step(tried) == Peak(step.qps)


def test_a_confirmation_that_held_with_room_above_it_is_followed_by_a_higher_one() -> None:
    tried = [rated(80, 50), rated(100, 80, full=True)]
    step = PeakSearch(80.0, FULL_S, 130.0).step([*tried, rated(105, 120)][:2])
    assert isinstance(step, Ask)
    assert step.full
    assert 100 < step.qps < 115
    held = [*tried, rated(step.qps, 99, full=True, valid=False), rated(step.qps / 1.005, 98, full=True)]
    assert PeakSearch(80.0, FULL_S, 130.0).step(held) == Peak(step.qps / 1.005)


def test_a_short_trial_is_long_enough_for_its_99th_percentile() -> None:
    search = PeakSearch(1.0, 600.0)
    assert [search.short_s(qps) for qps in (1000.0, 50.0, 1.0)] == [30.0, 60.0, 150.0]
