"""Check of benchmarks and scenarios: those that the round takes, and those that the closed division asks for."""

from collections.abc import Iterator

from mlperf_docker.display import printable
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.submission.checks.examined import SCENARIOS, ExaminedBenchmark, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield benchmarks and scenarios that do not belong there, and those that are missing."""
    for part in examined.benchmarks:
        path = printable.one_line(str(part.path))
        if reason := _refused(examined, part):
            yield TreeFinding(Fault.BENCHMARK_UNKNOWN, path, reason)
        names = examined.tree.folders_in(str(part.path))
        for name in names:
            if name not in SCENARIOS:
                yield TreeFinding(Fault.SCENARIO_UNKNOWN, f"{path}/{printable.one_line(name)}")
        if part.is_closed and part.benchmark is not None and not _refused(examined, part):
            yield from _closed(part, part.benchmark, names)


def _refused(examined: ExaminedTree, part: ExaminedBenchmark) -> str:
    """Why the round does not take the benchmark there; "" if it does, or the type of the system is not known."""
    round_, division, suite = examined.round.name, part.system.organisation.division, part.system.suite
    if part.benchmark is None:
        return f"round {round_} has no benchmark {printable.one_line(part.name)}"
    if division not in part.benchmark.divisions:
        return f"the {division} division of round {round_} does not take {part.benchmark.name}"
    if part.is_closed and suite is not None and suite not in part.benchmark.suites:
        return f"round {round_} does not take {part.benchmark.name} on {suite} systems"
    return ""


def _closed(part: ExaminedBenchmark, benchmark: RoundBenchmark, names: list[str]) -> Iterator[TreeFinding]:
    """Yield what the closed division lacks, or does not take."""
    suite = part.system.suite
    if suite is None:
        return
    asked = benchmark.suites[suite]
    for scenario in asked.required:
        if scenario not in names:
            yield TreeFinding(Fault.SCENARIO_MISSING, str(part.path), f"{scenario}, on {suite} systems", scenario)
    for name in names:
        if name in SCENARIOS and name not in (*asked.required, *asked.optional):
            yield TreeFinding(Fault.SCENARIO_UNKNOWN, str(part.path / name), f"not one of {benchmark.name} on {suite}")
