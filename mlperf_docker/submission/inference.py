"""Inference of entries from others, as the rules allow it on edge systems, and between levels of accuracy."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import Scenario
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.submission.entries import EntryRuns
from mlperf_docker.submission.problems import SubmissionProblem

_SOURCES = {
    Scenario.MULTI_STREAM: (Scenario.SINGLE_STREAM,),
    Scenario.OFFLINE: (Scenario.MULTI_STREAM, Scenario.SINGLE_STREAM),
}
"""Scenario → those that it may be inferred from, the one with the better figure first."""
ESTIMATE = "early_stopping_latency_ms"
"""What MultiStream's latency is computed from: LoadGen's estimate for it, 0 where the queries were too few for one."""


def sources(scenario: Scenario) -> tuple[Scenario, ...]:
    """The scenarios that *scenario* may be inferred from."""
    return _SOURCES.get(scenario, ())


def lower_levels(benchmark: RoundBenchmark, known: Iterable[RoundBenchmark]) -> Iterator[RoundBenchmark]:
    """Yield the benchmarks that ask less of the same model than *benchmark*, which its results meet, too."""
    if benchmark.high:
        yield from (each for each in known if each.model == benchmark.model and not each.high)


def problems(entry: EntryRuns) -> Iterator[SubmissionProblem]:
    """Yield what keeps the runs of *entry* from being those of its scenario."""
    if entry.place.scenario is not Scenario.MULTI_STREAM:
        return
    for kind, run in entry.by_kind.items():
        values = detail_log.read(Path(run.results_dir)).values
        if run is not entry.accuracy and not values.get(ESTIMATE, 0):
            yield SubmissionProblem(
                f"{entry.place.benchmark} {entry.place.scenario}",
                f"the {kind} run in {entry.scenario} has too few queries to infer it: LoadGen made no estimate",
                "Give it a longer --min-duration.",
            )
