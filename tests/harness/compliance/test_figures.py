"""Figures of compliance runs: the bounds of each test and scenario, as upstream's scripts have them."""

from typing import Any

import pytest

from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.words import ComplianceTest, Scenario
from mlperf_docker.harness.compliance import figures
from mlperf_docker.harness.loadgen.logs import METRICS
from tests.harness.compliance.logs import detail

T1, T4, T5 = ComplianceTest
OFFLINE, SERVER, SINGLE, MULTI = Scenario.OFFLINE, Scenario.SERVER, Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM


def log(scenario: Scenario, figure: float, **values: Any) -> DetailLog:
    name, _ = METRICS[scenario]
    return detail(result_validity="VALID", effective_scenario=scenario.value, **{name: figure}, **values)


def passes(test: ComplianceTest, scenario: Scenario, before: float, now: float) -> bool:
    reference, found = log(scenario, before), log(scenario, now)
    compared = figures.compare(test, scenario, reference, found)
    return not list(figures.problems(scenario, reference, found, compared))


@pytest.mark.parametrize(
    ("test", "scenario", "reference", "ratio", "passed"),
    [
        *((T1, OFFLINE, 500, *each) for each in ((0.89, False), (0.91, True), (1.09, True), (1.11, False))),
        *((T1, SERVER, 500, *each) for each in ((0.89, False), (1.11, False), (1.0, True))),
        *((T1, SINGLE, 5e6, *each) for each in ((0.89, False), (0.91, True), (1.09, True), (1.11, False))),
        *((T1, SINGLE, 150e3, *each) for each in ((0.79, False), (0.81, True), (1.19, True), (1.21, False))),
        *((T1, MULTI, 1.5e6, *each) for each in ((0.79, False), (0.81, True), (1.21, False))),
        *((T1, MULTI, 1.7e6, *each) for each in ((0.89, False), (1.11, False))),
        # Being faster betrays a cache of results; being slower does not matter.
        *((T4, OFFLINE, 500, *each) for each in ((0.1, True), (1.09, True), (1.11, False))),
        *((T4, SERVER, 500, *each) for each in ((0.1, True), (1.11, False))),
        # Upstream compares the rate with 200,000, which every system is below.
        *((T4, SINGLE, 5e6, *each) for each in ((10, True), (0.85, True), (0.83, False))),
        *((T4, SINGLE, 4e3, *each) for each in ((0.92, True), (0.90, False))),
        *((T4, MULTI, 5e6, *each) for each in ((10, True), (0.85, True), (0.83, False))),
        *((T5, OFFLINE, 500, *each) for each in ((0.94, False), (0.96, True), (2, True))),
        *((T5, SINGLE, 5e6, *each) for each in ((0.1, True), (1.04, True), (1.06, False))),
        *((T5, SINGLE, 150e3, *each) for each in ((1.19, True), (1.21, False))),
    ],
)
def test_a_figure_passes_within_its_bounds(
    test: ComplianceTest, scenario: Scenario, reference: float, ratio: float, passed: bool
) -> None:
    assert passes(test, scenario, reference, ratio * reference) is passed


def said(reference: DetailLog, found: DetailLog, scenario: Scenario = OFFLINE) -> str:
    compared = figures.compare(T1, scenario, reference, found)
    return "; ".join(figures.problems(scenario, reference, found, compared))


def test_an_invalid_run_fails_on_either_side() -> None:
    good = log(OFFLINE, 100)
    bad = DetailLog({**good.values, "result_validity": "INVALID"})
    assert said(bad, good) == "the performance run is INVALID"
    assert said(good, bad) == "the compliance run is INVALID"
    assert said(good, DetailLog({})).startswith("the compliance run is without a verdict")


def test_server_runs_of_other_bounds_cannot_be_compared() -> None:
    before, now = (log(SERVER, 100, effective_target_latency_ns=each) for each in (15_000_000, 30_000_000))
    assert said(before, now, SERVER) == "target_latency_ns is 30000000, and was 15000000 in the performance run"


def test_runs_of_other_scenarios_cannot_be_compared() -> None:
    assert "scenario is Offline, and was Server" in said(log(SERVER, 100), log(OFFLINE, 100))


def test_the_reason_has_figure_ratio_and_bound() -> None:
    assert said(log(OFFLINE, 100), log(OFFLINE, 50)) == (
        "result_samples_per_second is 50 samples/s, 0.500 times that of the performance run: at least 0.9 passes"
    )
