"""A run as LoadGen's detail log has it: verdict, reasons with advice, metric, latencies, errors."""

from math import ceil
from pathlib import Path
from typing import Any

from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import SampleError

METRICS = {
    Scenario.SINGLE_STREAM: ("early_stopping_latency_ss", "ns"),
    Scenario.MULTI_STREAM: ("early_stopping_latency_ms", "ns"),
    Scenario.SERVER: ("result_completed_samples_per_sec", "samples/s"),
    Scenario.OFFLINE: ("result_samples_per_second", "samples/s"),
}
EARLY_STOPPING_QUERIES = {Scenario.SINGLE_STREAM: 64, Scenario.MULTI_STREAM: 662, Scenario.SERVER: 459}
"""Fewest queries for an estimate at the percentile of the scenario, at 99 % confidence."""


def check_whole(accuracy_log: Path) -> None:
    """Raise SampleError for an accuracy log that was cut off: a part of the answers is not the run's score."""
    with accuracy_log.open("rb") as stream:
        stream.seek(max(0, accuracy_log.stat().st_size - 8))
        end = stream.read().rstrip()
    if not end.endswith(b"]"):
        raise SampleError(f"{accuracy_log} was cut off: LoadGen could not write all of it")


def valid(log: DetailLog) -> bool:
    """LoadGen's verdict on a performance run, and no error entry: a VALID run may still have logged some."""
    return log.values.get("result_validity") == "VALID" and not log.errors and not log.number("num_errors")


def metric(log: DetailLog, scenario: Scenario) -> dict[str, Any] | None:
    """The figure that MLPerf compares in this scenario, under LoadGen's own name, or None if it is not in the log."""
    name, unit = METRICS[scenario]
    return {"name": name, "value": log.values[name], "unit": unit} if name in log.values else None


def latency_ns(log: DetailLog, scenario: Scenario) -> dict[str, int] | None:
    """Mean and percentiles in ns: of a query in MultiStream, else of a sample."""
    query = scenario is Scenario.MULTI_STREAM
    percentile = "result_{}_percentile_per_query_latency_ns" if query else "result_{}_percentile_latency_ns"
    keys = {
        "mean": "result_mean_query_latency_ns" if query else "result_mean_latency_ns",
        **{f"p{number}": percentile.format(f"{number}.00") for number in (50, 90, 99)},
    }
    if not all(key in log.values for key in keys.values()):
        return None
    return {name: int(log.number(key)) for name, key in keys.items()}


def seeds(log: DetailLog) -> dict[str, int]:
    """The random seeds that LoadGen used; they tell the MLPerf round."""
    names = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")
    return {name: int(log.values[f"effective_{name}"]) for name in names if f"effective_{name}" in log.values}


def reasons(log: DetailLog, scenario: Scenario) -> list[str]:
    """Why a performance run is INVALID, each with what to do about it; empty for a VALID one."""
    verdict = log.values.get("result_validity")
    if verdict is None:
        return ["mlperf_log_detail.txt has no verdict: LoadGen could not write all of it"]
    if verdict != "INVALID":
        return []
    checks = {
        "result_min_duration_met": _duration_advice,
        "result_min_queries_met": _queries_advice,
        "result_perf_constraints_met": _bound_advice,
        "early_stopping_met": _early_stopping_advice,
    }
    found = [advise(log, scenario) for key, advise in checks.items() if not log.says_yes(key)]
    return found or [str(log.values.get("result_invalid_reason", "LoadGen gives no reason"))]


def _rate(log: DetailLog, scenario: Scenario) -> float:
    """Queries per second that the run reached."""
    if scenario in (Scenario.OFFLINE, Scenario.SERVER):
        return log.number(METRICS[scenario][0])
    latencies = latency_ns(log, scenario)
    return 1e9 / latencies["mean"] if latencies and latencies["mean"] else 0.0


def _duration_advice(log: DetailLog, scenario: Scenario) -> str:
    seconds = log.number("effective_min_duration_ms") / 1000
    what = f"the run ended before the minimum of {seconds:g} s"
    if scenario is Scenario.OFFLINE:
        return f"{what}: set --target-qps ≥ {ceil(round(_rate(log, scenario) * 1.05, 3))}"
    hint = "target_latency in user.conf" if scenario is not Scenario.SERVER else "--min-duration"
    return f"{what}, because the prepared queries ran out: set a smaller {hint}"


def _queries_advice(log: DetailLog, scenario: Scenario) -> str:
    count, least = log.number("result_query_count"), log.number("effective_min_query_count")
    return f"only {count:g} of at least {least:g} queries were answered: {_run_longer(log, scenario, least)}"


def _early_stopping_advice(log: DetailLog, scenario: Scenario) -> str:
    least = EARLY_STOPPING_QUERIES.get(scenario, 0)
    if scenario is Scenario.SERVER and not log.says_yes("result_perf_constraints_met"):
        return "too many queries were late for early stopping: a smaller --target-qps helps"
    late = int(log.number("result_overlatency_query_count"))
    # At p99 and 99 % confidence: 459 queries with none late, 662 with one, 1001 with three, 2010 with ten.
    return f"too few queries for early stopping: {_run_longer(log, scenario, least + 200 * late)}"


def _run_longer(log: DetailLog, scenario: Scenario, queries: float) -> str:
    rate = log.number("effective_target_qps") if scenario is Scenario.SERVER else _rate(log, scenario)
    return f"run ≥ {ceil(round(1.1 * queries / rate, 3))} s (--min-duration)" if rate else "run longer (--min-duration)"


def _bound_advice(log: DetailLog, scenario: Scenario) -> str:
    bound = log.number("effective_target_latency_ns")
    latencies = latency_ns(log, scenario) or {"p99": 0, "p50": 0}
    what = f"p99 is {latencies['p99'] / 1e6:.3g} ms, the bound {bound / 1e6:g} ms"
    if latencies["p50"] > 0.8 * bound and latencies["p50"] < 3 * bound:
        return f"{what}: this system is too slow for a single sample in that time; use Offline or SingleStream"
    return f"{what}: set --target-qps ≤ {log.number('effective_target_qps') * 0.7:.3g}"
