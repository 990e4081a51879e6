"""QueryLatencies of a run: percentiles from LoadGen's detail log, single queries from its trace log."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results.values import RunResult
from mlperf_docker.system import small_file

TRACE = "mlperf_log_trace.json"
_LARGEST_LOG, _LARGEST_TRACE = 16 << 20, 512 << 20
_FEWEST = 20
"""Queries in a trace of which a histogram says something."""
_SAMPLE = re.compile(rb'"query_seq":(\d+),.*"complete_ns":(\d+)')
_KEY = re.compile(r"result_(\d\d\.\d\d)_percentile_(per_query_)?latency_ns")


@dataclass(frozen=True)
class QueryLatencies:
    """QueryLatencies of queries, in nanoseconds."""

    percentiles: tuple[tuple[float, int], ...]
    """Percentile and latency, rising."""
    queries: tuple[int, ...] = ()
    """Latency of each query, rising; empty without a trace log."""
    bound: float | None = None
    """Server's bound."""


def read(result: RunResult) -> QueryLatencies | None:
    """The latencies of *result*, or None where its folder has none that are a distribution.

    Offline has one query: the latencies of its samples tell when each was done, and are left out.
    """
    if result.mode is not Mode.PERFORMANCE or result.scenario is Scenario.OFFLINE:
        return None
    folder = Path(result.results_dir)
    try:
        log = detail_log.parse(small_file.read(folder / detail_log.NAME, _LARGEST_LOG).decode(errors="replace"))
    except (OSError, small_file.UnfitError):
        return None
    percentiles = tuple(sorted(_percentiles(log, result.scenario)))
    bound = log.number("effective_target_latency_ns") if result.scenario is Scenario.SERVER else None
    return QueryLatencies(percentiles, tuple(_traced(folder / TRACE)), bound or None) if percentiles else None


def _percentiles(log: detail_log.DetailLog, scenario: Scenario) -> Iterator[tuple[float, int]]:
    for key, value in log.values.items():
        found = _KEY.fullmatch(key)
        if found and bool(found[2]) is (scenario is Scenario.MULTI_STREAM) and isinstance(value, int):
            yield float(found[1]), value


def _traced(path: Path) -> list[int]:
    """The latency of each query, rising: that of its last sample. Nothing of a trace that is too small or too large."""
    slowest: dict[int, int] = {}
    try:
        if not 0 < path.stat().st_size <= _LARGEST_TRACE:
            return []
        with path.open("rb") as lines:
            for line in lines:
                found = _SAMPLE.search(line)
                if found:
                    query, latency = int(found[1]), int(found[2])
                    slowest[query] = max(latency, slowest.get(query, 0))
    except OSError:
        return []
    return sorted(slowest.values()) if len(slowest) >= _FEWEST else []
