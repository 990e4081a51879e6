"""Detail logs: recorded lines of LoadGen 6.0.17, and the advice made of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.loadgen import logs


def detail(*errors: str, **values: Any) -> str:
    meta = {"is_error": False, "is_warning": False, "file": "loadgen.cc", "line_no": 1, "pid": 1, "tid": 1}
    lines = [{"key": key.replace("__", "."), "value": value, "metadata": meta} for key, value in values.items()]
    lines += [{"key": "error_runtime", "value": text, "metadata": {**meta, "is_error": True}} for text in errors]
    return "".join(f":::MLLOG {json.dumps(line)}\n" for line in lines)


def latencies(mean: int, p99: int) -> dict[str, int]:
    percentiles = {"50": mean, "90": mean, "99": p99}
    return {f"result_{n}__00_percentile_latency_ns": v for n, v in percentiles.items()} | {
        "result_mean_latency_ns": mean
    }


def test_a_valid_offline_log() -> None:
    text = detail(
        result_validity="VALID", result_samples_per_second=41.25, effective_qsl_rng_seed=5, **latencies(100, 200)
    )
    log = detail_log.parse("noise\n" + text + ':::MLLOG {"key": "cut o')
    assert logs.valid(log)
    assert logs.reasons(log, Scenario.OFFLINE) == []
    assert logs.metric(log, Scenario.OFFLINE) == {
        "name": "result_samples_per_second",
        "value": 41.25,
        "unit": "samples/s",
    }
    assert logs.latency_ns(log, Scenario.OFFLINE) == {"mean": 100, "p50": 100, "p90": 100, "p99": 200}
    assert logs.seeds(log) == {"qsl_rng_seed": 5}


def test_a_valid_verdict_with_an_error_entry_is_not_valid() -> None:
    log = detail_log.parse(detail("ran out of queries", result_validity="VALID"))
    assert not logs.valid(log)
    assert log.errors == ("error_runtime: ran out of queries",)


def test_multi_stream_counts_queries() -> None:
    values = {f"result_{n}__00_percentile_per_query_latency_ns": n for n in (50, 90, 99)}
    log = detail_log.parse(detail(result_mean_query_latency_ns=9, early_stopping_latency_ms=77, **values))
    assert logs.latency_ns(log, Scenario.MULTI_STREAM) == {"mean": 9, "p50": 50, "p90": 90, "p99": 99}
    assert logs.metric(log, Scenario.MULTI_STREAM) == {"name": "early_stopping_latency_ms", "value": 77, "unit": "ns"}


def test_nothing_in_the_log_gives_nothing() -> None:
    log = detail_log.parse("")
    assert not logs.valid(log)
    assert logs.metric(log, Scenario.SERVER) is None
    assert logs.latency_ns(log, Scenario.SERVER) is None


@pytest.mark.parametrize(
    ("scenario", "values", "advice"),
    [
        (
            Scenario.OFFLINE,
            {"result_min_duration_met": False, "effective_min_duration_ms": 20000, "result_samples_per_second": 40},
            "set --target-qps ≥ 42",
        ),
        (
            Scenario.SERVER,
            {
                "result_perf_constraints_met": False,
                "effective_target_latency_ns": 15_000_000,
                "effective_target_qps": 100,
                **latencies(2_000_000, 40_000_000),
            },
            "set --target-qps ≤ 70",
        ),
        (
            Scenario.SERVER,
            {
                "result_perf_constraints_met": False,
                "effective_target_latency_ns": 15_000_000,
                **latencies(25_000_000, 40_000_000),
            },
            "too slow for a single sample",
        ),
        (
            Scenario.SERVER,
            {"early_stopping_met": False, "effective_target_qps": 10, "result_overlatency_query_count": 1},
            "run ≥ 73 s",
        ),
        (
            Scenario.SINGLE_STREAM,
            {
                "result_min_queries_met": False,
                "result_query_count": 10,
                "effective_min_query_count": 100,
                **latencies(500_000_000, 600_000_000),
            },
            "run ≥ 55 s",
        ),
    ],
)
def test_an_invalid_run_says_what_to_do(scenario: Scenario, values: dict[str, Any], advice: str) -> None:
    (reason,) = logs.reasons(detail_log.parse(detail(result_validity="INVALID", **values)), scenario)
    assert advice in reason


def test_a_log_without_a_verdict_says_so() -> None:
    log = detail_log.parse(detail(result_samples_per_second=41.25))
    assert not logs.valid(log)
    (reason,) = logs.reasons(log, Scenario.OFFLINE)
    assert "has no verdict" in reason


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("[\n]\n", True),
        ('[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "00"}\n]\n', True),
        ('[\n{ "seq_id" : 0, "qsl_idx" : 0, "data" : "00"},\n', False),
        ("[\n{", False),
        ("", False),
    ],
)
def test_an_accuracy_log_that_was_cut_off_is_no_score(tmp_path: Path, text: str, whole: bool) -> None:
    path = tmp_path / "mlperf_log_accuracy.json"
    path.write_text(text)
    if whole:
        logs.check_whole(path)
    else:
        with pytest.raises(SampleError, match="was cut off"):
            logs.check_whole(path)
