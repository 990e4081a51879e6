"""Differences between runs."""

import math
from typing import Any

import pytest

from mlperf_docker.results.comparison import Comparison
from mlperf_docker.results.text import comparison_text
from mlperf_docker.results.values import RunResult
from tests.results.run_results import run_result

LATENCY_METRIC = {"name": "early_stopping_latency_ss", "value": 4e6, "unit": "ns"}


def metric(value: float) -> dict[str, Any]:
    return {"name": "result_samples_per_second", "value": value, "unit": "samples/s"}


def compared(*results: RunResult) -> Comparison:
    return Comparison(results)


def row(comparison: Comparison, start: str) -> str:
    (line,) = [line for line in comparison_text(comparison).splitlines() if line.startswith(start)]
    return line


def test_ratios_are_to_the_first_run() -> None:
    slower = {"mean": 2e6, "p50": 1e6, "p90": 3e6, "p99": 12e6}
    comparison = compared(run_result(metric=metric(100)), run_result(metric=metric(125), latency_ns=slower))
    ratios = {figure.name: figure.ratios for figure in comparison.figures()}
    assert ratios == {
        "metric": (1, 1.25),
        "latency mean": (1, 2),
        "latency p50": (1, 1),
        "latency p90": (1, 1.5),
        "latency p99": (1, 4),
    }
    assert row(comparison, "metric (higher is better)").split("  ")[-1] == "125 samples/s (1.25 x)"
    assert row(comparison, "latency p99").split("  ")[-1].strip() == "12.000 ms (4 x)"
    assert "3.000 ms " in row(comparison, "latency p99")


@pytest.mark.parametrize(
    ("scenario", "word"),
    [("Offline", "higher"), ("Server", "higher"), ("SingleStream", "lower"), ("MultiStream", "lower")],
)
def test_the_scenario_tells_what_is_better(scenario: str, word: str) -> None:
    assert row(compared(run_result(scenario=scenario), run_result(scenario=scenario)), f"metric ({word} is better)")


def test_only_facts_that_differ_are_told_each_under_its_key() -> None:
    old = run_result(
        settings={"batch_size": 8, "threads": 2},
        versions={"torch": "2.12", "python": "3.11"},
        results_dir="/r/1",
        duration_s=1,
    )
    new = run_result(
        settings={"batch_size": 16, "threads": 2, "instances": 1},
        versions={"torch": "2.13", "python": "3.11"},
        precision="int8",
        host={"cpu": {"model": "other"}},
        results_dir="/r/2",
        duration_s=2,
    )
    assert compared(old, new).differing() == {
        "precision": ("fp32", "int8"),
        "versions.torch": ("2.12", "2.13"),
        "settings.batch_size": (8, 16),
        "settings.instances": (None, 1),
        "host.cpu.model": (None, "other"),
    }
    assert row(compared(old, new), "settings.instances").split() == ["settings.instances", "-", "1"]


def test_a_hash_is_told_by_its_beginning_to_people_and_whole_to_programs() -> None:
    first, second = (
        run_result(image={"tag": "t", "id": f"sha256:{digit * 64}", "base": "debian"}) for digit in ("a", "b")
    )
    assert row(compared(first, second), "image.id").split() == ["image.id", f"sha256:{'a' * 12}", f"sha256:{'b' * 12}"]
    assert compared(first, second).fields()["differing"] == {"image.id": [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"]}


def test_equal_runs_differ_in_nothing() -> None:
    assert comparison_text(compared(run_result(), run_result())).endswith("Nothing else differs.")


def test_verdict_reasons_and_accuracy_are_shown_of_each_run() -> None:
    accuracy = {"metric": "top1", "value": 74.12, "target": 75.5, "passed": False}
    missed = {"mode": "accuracy", "metric": None, "latency_ns": None, "accuracy": accuracy}
    reached = {**missed, "accuracy": {**accuracy, "value": 76.0, "passed": True}}
    comparison = compared(
        run_result(**missed, valid=False, reasons=["too low"], results_dir="/r/a"), run_result(**reached)
    )
    lines = comparison_text(comparison).splitlines()
    assert lines[0] == "#1  a  INVALID (synthetic: not a benchmark result)"
    assert lines[1] == "    too low"
    assert row(comparison, "accuracy").split("  ")[1:] == [
        "top1 74.1200 (target 75.5000)",
        "top1 76.0000 (target 75.5000)",
    ]
    assert comparison.figures() == ()


@pytest.mark.parametrize(
    ("changes", "name", "values"),
    [
        ({"model": "bert"}, "model", ("resnet50", "bert")),
        ({"scenario": "SingleStream", "metric": LATENCY_METRIC}, "scenario", ("Offline", "SingleStream")),
        ({"mode": "accuracy"}, "mode", ("performance", "accuracy")),
        ({"synthetic": False}, "data", ("synthetic", "real")),
        ({"synthetic_size": "full"}, "data", ("synthetic", "synthetic full")),
    ],
)
def test_other_benchmarks_are_shown_without_ratios_and_said_to_be_so(
    changes: dict[str, Any], name: str, values: tuple[str, str]
) -> None:
    comparison = compared(run_result(), run_result(**changes))
    assert comparison.obstacles == {name: values}
    sentence = f"Not the same benchmark, so not comparable: {name} is {values[0]}, {values[1]}."
    assert row(comparison, "Not the same") == sentence
    assert {figure.ratios for figure in comparison.figures()} == {(1, None)}
    assert row(comparison, "metric")
    assert not comparison.fields()["comparable"]


def test_runs_on_other_backends_and_devices_are_comparable() -> None:
    comparison = compared(run_result(), run_result(backend="pytorch", device="cuda"))
    assert not comparison.obstacles
    assert comparison.differing() == {"backend": ("onnxruntime", "pytorch"), "device": ("cpu", "cuda")}


@pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (1.0, math.nan), (1.0, math.inf), (math.nan, 1.0)])
def test_there_is_no_ratio_where_it_would_be_no_number(first: float, second: float) -> None:
    figure = compared(run_result(metric=metric(first)), run_result(metric=metric(second))).figures()[0]
    assert figure.ratios[1] is None


def test_a_run_without_a_figure_has_a_dash() -> None:
    comparison = compared(run_result(), run_result(metric=None, latency_ns=None))
    assert comparison.figures()[0].ratios == (1, None)
    assert row(comparison, "metric").split()[-1] == "-"


def test_the_harness_is_named_where_two_runs_differ_in_it() -> None:
    harness = {"name": "reference", "commit": "c0ffee", "changed": False, "content": None}
    differing = Comparison((run_result(), run_result(harness=harness))).differing()
    assert differing["harness.name"] == ("own", "reference")
    assert differing["harness.commit"] == (None, "c0ffee")
    assert not [key for key in Comparison((run_result(), run_result())).differing() if key.startswith("harness")]
