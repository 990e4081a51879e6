"""Judgement of runs against rounds: each thing that is in the way is told, and a run without any counts."""

import dataclasses
from typing import Any

import pytest

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results.values import RoundVerdict
from mlperf_docker.rounds.judging import foresee, judge
from mlperf_docker.rounds.loading import load
from tests.results.run_results import run_result

ROUNDS = load()
NEWEST = ROUNDS.newest
SETTINGS = {
    "min_duration_ms": 600_000,
    "min_query_count": 24576,
    "performance_sample_count": 1024,
    "sample_concatenate_permutation": False,
    "target_qps": 100.0,
}
PERFORMANCE: dict[str, Any] = {
    "synthetic": False,
    "samples": 24576,
    "seeds": NEWEST.seeds.model_dump(),
    "settings": SETTINGS,
    "model_file": {"name": "resnet50_v1.onnx", "official": True},
}
BERT = {**PERFORMANCE, "model": "bert", "settings": {**SETTINGS, "performance_sample_count": 10833}}


def score(metric: str, value: float) -> dict[str, Any]:
    return {"metric": metric, "value": value, "unit": "%", "sense": "at least", "target": 1.0, "passed": True}


def accuracy(metric: str, value: float, **changes: Any) -> dict[str, Any]:
    shared = {"mode": "accuracy", "metric": None, "latency_ns": None}
    return {**PERFORMANCE, **shared, "accuracy": {**score(metric, value), "scores": [score(metric, value)]}, **changes}


def verdict(fields: dict[str, Any], name: str = "v6.1", **changes: Any) -> RoundVerdict:
    return judge(run_result(**{**fields, **changes}), ROUNDS.find(name))


def settings(**changes: Any) -> dict[str, Any]:
    return {"settings": {**SETTINGS, **changes}}


def test_a_run_by_the_rules_counts() -> None:
    assert verdict(PERFORMANCE) == RoundVerdict(name="v6.1", benchmarks=("resnet",), counts=True)
    assert verdict(BERT).benchmarks == ("bert-99", "bert-99.9")
    server: dict[str, Any] = {"scenario": "Server", **settings(target_latency_ns=15_000_000), "samples": 70_000}
    assert verdict(PERFORMANCE, **server).counts
    unet = {**PERFORMANCE, "model": "3d-unet", "samples": 43}
    unet |= settings(performance_sample_count=43, sample_concatenate_permutation=True)
    assert verdict(unet).benchmarks == ("3d-unet-99", "3d-unet-99.9")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"synthetic": True}, "the data are synthetic"),
        ({"model_file": {"official": False}}, "the model file is not the official one"),
        ({"model_file": None}, "the model file is not the official one"),
        ({"valid": False}, "the run is not valid"),
        ({"loadgen_errors": ["a", "b"]}, "LoadGen's log has 2 errors"),
        ({"seeds": {**NEWEST.seeds.model_dump(), "qsl_rng_seed": 1}}, "qsl_rng_seed is not of v6.1"),
        ({"seeds": {}}, "qsl_rng_seed, sample_index_rng_seed, schedule_rng_seed are not of v6.1"),
        (settings(min_duration_ms=5000), "the minimum duration is 5 s, not 600 s"),
        (
            settings(open_only=["performance_sample_count_override"]),
            "user.conf sets performance_sample_count_override, for which the closed division has a rule",
        ),
        (settings(performance_sample_count=64), "LoadGen holds 64 samples in memory, not 1,024"),
        ({"samples": 24575}, "Offline's query has 24,575 samples, not 24,576"),
        (
            {"scenario": "Server", **settings(target_latency_ns=15_000_001)},
            "the bound on Server's latency is 15.000001 ms, not 15 ms",
        ),
    ],
)
def test_one_thing_in_the_way_of_a_performance_run_is_told(changes: dict[str, Any], why: str) -> None:
    found = verdict(PERFORMANCE, **changes)
    assert (found.counts, found.benchmarks, found.why) == (False, (), (why,))


def test_an_accuracy_run_counts_for_the_levels_that_it_reaches() -> None:
    whole: dict[str, Any] = {"model": "bert", "samples": 10833}
    assert verdict(accuracy("F1", 90.79), **whole).benchmarks == ("bert-99", "bert-99.9")
    some = verdict(accuracy("F1", 90.5), **whole)
    assert (some.counts, some.benchmarks) == (True, ("bert-99",))
    assert some.why == ("bert-99.9: F1 is 90.5, not 90.783126",)
    none = verdict(accuracy("F1", 89.0), **whole)
    assert not none.counts
    assert [why.partition(":")[0] for why in none.why] == ["bert-99", "bert-99.9"]
    assert not verdict(accuracy("F1", float("nan")), **whole).counts
    assert verdict(accuracy("EM", 99.0), **whole).why[0] == "bert-99: F1 is nan, not 89.96526"


def test_an_accuracy_run_must_score_the_whole_data_set() -> None:
    assert verdict(accuracy("top-1", 76.0), samples=50_000).counts
    assert verdict(accuracy("top-1", 76.0), samples=500).why == ("500 of 50,000 samples of the data set were scored",)


def test_everything_in_the_way_is_told_at_once() -> None:
    found = verdict(PERFORMANCE, synthetic=True, valid=False, samples=1, seeds={}, **settings(min_duration_ms=1000))
    assert len(found.why) == 5


def test_a_model_that_a_round_does_not_take_is_told() -> None:
    found = verdict(PERFORMANCE, model="rnnt")
    assert found.why == ("v6.1 has no benchmark of rnnt",)
    assert not found.counts


def test_a_scenario_that_no_entry_has_is_told() -> None:
    found = verdict(BERT, scenario="Server", **settings(performance_sample_count=10833, target_latency_ns=130_000_000))
    assert found.why == ("no entry has Server: SingleStream, Offline are asked for",)
    old = verdict(
        BERT,
        "v4.1",
        scenario="Server",
        seeds=ROUNDS.find("v4.1").seeds.model_dump(),
        **settings(performance_sample_count=10833, target_latency_ns=130_000_000),
    )
    assert old.counts


def test_equal_issue_is_asked_for_where_the_benchmark_has_it() -> None:
    unet = {**PERFORMANCE, "model": "3d-unet", "samples": 43, **settings(performance_sample_count=43)}
    assert verdict(unet).why == ("samples were not issued equally often",)


def test_test05_has_seeds_of_its_own() -> None:
    round_ = ROUNDS.find("v4.1")
    assert round_.test05_seeds is not None
    test = {"test": "TEST05", "passed": True, "reasons": [], "accuracy": None}
    figures = {"reference": 1.0, "value": 1.0, "ratio": 1.0, "least": None, "most": None}
    changes = {"seeds": round_.test05_seeds.model_dump(), "compliance": {**test, "performance": figures}}
    assert verdict(PERFORMANCE, "v4.1", **changes).counts
    assert not verdict(PERFORMANCE, "v4.1", **{**changes, "seeds": round_.seeds.model_dump()}).counts


def test_a_result_of_an_earlier_version_is_judged_too() -> None:
    assert not verdict({}, settings={"min_duration_ms": "long"}).counts
    assert not verdict({"synthetic": False}).counts


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ()),
        ({"min_duration_s": 5.0}, ("the minimum duration is 5 s, not 600 s",)),
        ({"samples": 2000}, ("only 2,000 of 50,000 samples of the data set are used",)),
        (
            {"samples": 64},
            (
                "only 64 of 50,000 samples of the data set are used",
                "LoadGen holds 64 samples in memory, not 1,024",
            ),
        ),
        ({"samples": 64, "mode": Mode.ACCURACY}, ("64 of 50,000 samples of the data set were scored",)),
        (
            {"scenario": Scenario.SERVER, "target_latency_ms": 20},
            ("the bound on Server's latency is 20 ms, not 15 ms",),
        ),
        ({"scenario": Scenario.SINGLE_STREAM, "target_latency_ms": 20}, ()),
    ],
)
def test_a_command_line_is_judged_before_the_run(changes: dict[str, Any], why: tuple[str, ...]) -> None:
    options = dataclasses.replace(RunOptions(), **changes)
    found = foresee("resnet50", options, NEWEST)
    assert (found.why, found.counts) == (why, not why)
