"""Checks of one run's logs: what LoadGen says of a performance run, an accuracy run or a compliance test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.rounds.round import Round, Seeds
from mlperf_docker.submission import inference
from mlperf_docker.submission.checks.examined import SCENARIOS, ExaminedEntry, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.loadgen_log import LoadgenLog
from mlperf_docker.submission.layout import DETAIL, SUMMARY, Kind

_NS_PER_MS = 1_000_000
_ERRORS_TOLD = 3
_MODES = {Mode.PERFORMANCE: "PerformanceOnly", Mode.ACCURACY: "AccuracyOnly"}
_BOTH_MODES = "SubmissionRun"
_FIGURES = {
    Scenario.SINGLE_STREAM: "early_stopping_latency_ss",
    Scenario.MULTI_STREAM: "early_stopping_latency_ms",
    Scenario.SERVER: "result_completed_samples_per_sec",
    Scenario.OFFLINE: "result_samples_per_second",
}
_PERCENTILES = {Scenario.SINGLE_STREAM: 0.9, Scenario.MULTI_STREAM: 0.99, Scenario.SERVER: 0.99}
_SAMPLES_PER_QUERY = 8
_MET = (
    "result_min_duration_met",
    "result_min_queries_met",
    "result_perf_constraints_met",
    "early_stopping_met",
)
Found = Iterator[tuple[Fault, str, str]]


@dataclass(frozen=True)
class RunLogs:
    """Logs of one run in its place in the tree."""

    entry: ExaminedEntry
    kind: Kind
    log: LoadgenLog
    round: Round
    summary: str | None

    @property
    def path(self) -> str:
        """The detail log."""
        return str(self.entry.entry.logs(self.kind) / DETAIL)

    @property
    def scenario(self) -> Scenario | None:
        """The scenario that the log is of."""
        return SCENARIOS.get(self.log.text("effective_scenario") or "")

    @property
    def is_test(self) -> bool:
        """Whether it is the run of a compliance test."""
        return isinstance(self.kind, ComplianceTest)

    @property
    def seeds(self) -> Seeds:
        """The seeds that the run must have had."""
        other = self.round.test05_seeds if self.kind is ComplianceTest.TEST05 else None
        return other or self.round.seeds

    def says(self, key: str) -> tuple[str, str]:
        """The key of the log, and its value as text."""
        return key, f"{key} is {self.log.values[key]}" if key in self.log.values else f"{key} is missing"


def logs_of(examined: ExaminedTree, entry: ExaminedEntry, kind: Kind) -> RunLogs | None:
    """Return the logs of a run; None where there is no detail log that can be read."""
    folder = entry.entry.logs(kind)
    log = examined.documents.log(folder / DETAIL)
    if log is None:
        return None
    return RunLogs(entry, kind, log, examined.round, examined.documents.text(folder / SUMMARY))


def of_performance(run: RunLogs) -> Iterator[TreeFinding]:
    """Yield what is wrong with a performance run, or with the run of a compliance test."""
    yield from _told(run, _OF_ANY + _OF_PERFORMANCE)


def of_accuracy(run: RunLogs) -> Iterator[TreeFinding]:
    """Yield what LoadGen's log says against an accuracy run."""
    yield from _told(run, _OF_ANY + _OF_ACCURACY)


def _told(run: RunLogs, checks: tuple[Callable[[RunLogs], Found], ...]) -> Iterator[TreeFinding]:
    for check in checks:
        for fault, key, what in check(run):
            yield TreeFinding(fault, run.path, what, key)


def _complete(run: RunLogs) -> Found:
    for key in ("loadgen_version", "effective_scenario", "effective_test_mode"):
        if not run.log.text(key):
            yield Fault.LOG_INCOMPLETE, *run.says(key)


def _errors(run: RunLogs) -> Found:
    for error in run.log.errors[:_ERRORS_TOLD]:
        yield Fault.LOG_ERRORS, f"line {error.line}", error.said
    if run.log.values.get("num_errors") not in (None, 0) and not run.log.errors:
        yield Fault.LOG_ERRORS, *run.says("num_errors")


def _mode(run: RunLogs) -> Found:
    wanted = _MODES[run.kind if isinstance(run.kind, Mode) else Mode.PERFORMANCE]
    said = run.log.text("effective_test_mode")
    if said is not None and said not in (wanted, _BOTH_MODES):
        yield Fault.LOG_MODE, "effective_test_mode", f"{said}, not {wanted}"


def _scenario(run: RunLogs) -> Found:
    """Tell a log of another scenario, unless this one may be inferred from it."""
    own, said = run.entry.entry.scenario, run.scenario
    if said is None or said is own:
        return
    if said not in inference.sources(own) or not run.entry.part.system.is_edge:
        suite = run.entry.part.system.suite or "unknown"
        yield Fault.INFERENCE, "effective_scenario", f"{said}, in the folder of {own}, on a system of type {suite}"
    elif own is Scenario.MULTI_STREAM and not run.log.number(inference.ESTIMATE) and run.kind is not Mode.ACCURACY:
        yield (
            Fault.INFERENCE,
            inference.ESTIMATE,
            "too few queries to estimate the 99th percentile that is inferred from",
        )


def _audit(run: RunLogs) -> Found:
    """Tell a run that an audit.config changed, and a test that none did."""
    if run.log.audited and not run.is_test:
        yield Fault.LOG_AUDITED, "warning_generic_message", "LoadGen found an audit.config"
    elif run.is_test and not run.log.audited:
        yield Fault.TEST_OFF, "", "LoadGen found no audit.config"


def _verdict(run: RunLogs) -> Found:
    said = run.log.values.get("result_validity")
    if said != "VALID":
        reason = run.log.text("result_invalid_reason")
        key, what = run.says("result_validity")
        yield Fault.LOG_INVALID, key, f"{what}: {reason.strip()}" if reason else what


def _bounds(run: RunLogs) -> Found:
    for key in _MET:
        if run.log.values.get(key, True) is not True:
            yield Fault.LOG_BOUND_MISSED, *run.says(key)


def _summary(run: RunLogs) -> Found:
    """Tell a summary whose verdict or scenario is another than the detail log's."""
    if run.summary is None:
        return
    lines = {name.strip(): value.strip() for name, _, value in (each.partition(":") for each in _lines(run.summary))}
    for name, key in (("Result is", "result_validity"), ("Scenario", "effective_scenario")):
        said, wanted = lines.get(name), run.log.text(key)
        if wanted is not None and said is not None and said.replace(" ", "") != wanted:
            yield Fault.LOG_SUMMARY, key, f"{wanted}, and in {SUMMARY} {said}"
    if "Result is" not in lines:
        yield Fault.LOG_SUMMARY, "", f"{SUMMARY} has no verdict"


def _lines(summary: str) -> list[str]:
    return [line for line in summary.splitlines() if ":" in line]


def _seeds(run: RunLogs) -> Found:
    for name, wanted in run.seeds.model_dump().items():
        key = f"effective_{name}"
        if run.log.values.get(key) != wanted:
            yield Fault.LOG_SEEDS, key, f"{run.log.values.get(key, 'missing')}, not {wanted}"


def _duration(run: RunLogs) -> Found:
    yield from _least(run, Fault.LOG_DURATION, "effective_min_duration_ms", run.round.min_duration_ms)


def _counts(run: RunLogs) -> Found:
    benchmark = run.entry.benchmark
    if benchmark is None:
        return
    least = benchmark.performance_sample_count
    yield from _least(run, Fault.LOG_SAMPLES, "effective_performance_sample_count", least)
    if run.scenario is Scenario.OFFLINE and run.entry.is_closed:
        yield from _least(run, Fault.LOG_QUERY, "effective_samples_per_query", benchmark.offline_min_samples)


def _least(run: RunLogs, fault: Fault, key: str, least: int) -> Found:
    value = run.log.number(key)
    if value is None or value < least:
        yield fault, key, f"{run.says(key)[1]}, less than {least}"


def _latency(run: RunLogs) -> Found:
    """Tell a bound or a percentile of the latency that is not the round's."""
    benchmark, scenario = run.entry.benchmark, run.scenario
    if scenario is Scenario.SERVER and benchmark is not None and benchmark.server_latency_ms is not None:
        key, most = "effective_target_latency_ns", benchmark.server_latency_ms * _NS_PER_MS
        value = run.log.number(key)
        if value is None or value > most:
            yield Fault.LOG_LATENCY, key, f"{run.says(key)[1]}, more than {most}"
    if scenario in _PERCENTILES:
        yield from _setting(run, "effective_target_latency_percentile", _PERCENTILES[scenario])


def _settings(run: RunLogs) -> Found:
    if run.scenario is Scenario.MULTI_STREAM:
        yield from _setting(run, "effective_samples_per_query", _SAMPLES_PER_QUERY)
    yield from _setting(run, "effective_performance_issue_unique", wanted=False)
    if run.kind is not ComplianceTest.TEST04:
        yield from _setting(run, "effective_performance_issue_same", wanted=False)


def _setting(run: RunLogs, key: str, wanted: float | bool) -> Found:  # noqa: FBT001  # a value of the log
    value: Any = run.log.values.get(key, wanted)
    if value != wanted:
        yield Fault.LOG_SETTINGS, key, f"{run.says(key)[1]}, not {wanted}"


def _equal_issue(run: RunLogs) -> Found:
    benchmark, key = run.entry.benchmark, "effective_sample_concatenate_permutation"
    if benchmark is not None and benchmark.equal_issue and run.entry.is_closed and run.log.values.get(key) is not True:
        yield Fault.LOG_EQUAL_ISSUE, *run.says(key)


def _figure(run: RunLogs) -> Found:
    key = _FIGURES.get(run.scenario) if run.scenario is not None else None
    if key is not None and not (run.log.number(key) or 0) > 0:
        yield Fault.LOG_INCOMPLETE, *run.says(key)


def _coverage(run: RunLogs) -> Found:
    benchmark = run.entry.benchmark
    own, older = "effective_accuracy_sample_count", "qsl_reported_total_count"
    key = own if own in run.log.values else older
    if benchmark is not None and run.log.values.get(key) != benchmark.dataset_size:
        yield Fault.ACCURACY_COVERAGE, key, f"{run.says(key)[1]}, the data set has {benchmark.dataset_size}"


_OF_ANY = (_complete, _errors, _mode, _scenario, _audit)
_OF_PERFORMANCE = (
    _verdict,
    _bounds,
    _summary,
    _seeds,
    _duration,
    _counts,
    _latency,
    _settings,
    _equal_issue,
    _figure,
)
_OF_ACCURACY = (_coverage,)
