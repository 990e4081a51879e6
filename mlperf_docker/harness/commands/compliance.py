"""Verification of a compliance run against the performance run and the accuracy run, and its files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import mlperf_loadgen as lg

from mlperf_docker.contract import compliance
from mlperf_docker.contract.compliance import (
    BASELINE_SCORE,
    COMPLIANCE_SCORE,
    FAILED,
    MOST_APART,
    PASSED,
    VERIFIED_ACCURACY,
    VERIFIED_PERFORMANCE,
)
from mlperf_docker.contract.detail_log import DetailLog
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.result import AnswersCompared, Compliance
from mlperf_docker.contract.words import ComparedBy, ComplianceTest, Mode
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import DatasetError, SampleError, UsageError
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.samples import D, F, S
from mlperf_docker.harness.api.scores import Scored
from mlperf_docker.harness.commands.loading import Prepared
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.compliance import answers, audit, figures, references, scores
from mlperf_docker.harness.compliance.answers import AnswerComparison
from mlperf_docker.harness.compliance.references import Reference
from mlperf_docker.harness.compliance.scores import Scorer
from mlperf_docker.harness.loadgen import logs
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.samples.accuracy_log import IndexedLog
from mlperf_docker.harness.system.files import write_atomically

ACCURACY = "accuracy.txt"


@dataclass(frozen=True)
class EarlierRuns:
    """The runs that a compliance run is held to."""

    performance: Reference
    accuracy: Reference | None
    """None for a test that compares no answers."""
    answers: IndexedLog | None
    """Those of the accuracy run."""

    def applied(self, options: LoadgenRun) -> LoadgenRun:
        """*options* with the settings of the performance run, where they leave them open."""
        run = self.performance
        found = replace(
            options,
            batch_size=options.batch_size or run.batch_size,
            instances=options.instances or run.instances,
            threads_per_instance=options.threads_per_instance or run.threads,
            taken_conf=run.user_conf,
        )
        return found if options.compliance is ComplianceTest.TEST05 else _with_seeds(found, run.seeds)

    def check_samples(self, count: int) -> None:
        """Raise UsageError where a run was of another number of samples of the data set."""
        for run in (self.performance, self.accuracy):
            if run is not None:
                run.check_samples(count)


def _with_seeds(options: LoadgenRun, seeds: Mapping[str, int]) -> LoadgenRun:
    """*options* with *seeds* where they leave them open."""
    return replace(
        options,
        qsl_rng_seed=options.qsl_rng_seed or seeds.get("qsl_rng_seed"),
        sample_index_rng_seed=options.sample_index_rng_seed or seeds.get("sample_index_rng_seed"),
        schedule_rng_seed=options.schedule_rng_seed or seeds.get("schedule_rng_seed"),
    )


def read_references(options: LoadgenRun) -> EarlierRuns | None:
    """The runs that a compliance run is held to; None for another run. Raises UsageError where one is not there."""
    if options.compliance is None:
        return None
    if options.performance_run is None:
        raise UsageError(f"{options.compliance} needs the folder of the performance run: --performance-run")
    wanted = {
        "model": options.cell.model,
        "backend": options.cell.backend,
        "device": options.cell.device.value,
        "precision": options.precision.value,
        "scenario": options.scenario.value,
        "synthetic_size": options.synthetic.value if options.synthetic else None,
    }
    performance = references.performance(options.performance_run, {**wanted, "mode": Mode.PERFORMANCE.value})
    contradictions = list(compliance.contradictions(options, performance.settings))
    if contradictions:
        what = f"the run in {performance.folder} had other settings: {'; '.join(contradictions)}"
        raise UsageError(what, hint="Leave these options away: a compliance run takes those of the performance run.")
    if not options.compliance.compares_answers:
        return EarlierRuns(performance, None, None)
    if options.accuracy_run is None:
        raise UsageError(f"{options.compliance} needs the folder of the accuracy run too: --accuracy-run")
    accuracy = references.accuracy(options.accuracy_run, {**wanted, "mode": Mode.ACCURACY.value})
    return EarlierRuns(performance, accuracy, _indexed(accuracy))


def _indexed(run: Reference) -> IndexedLog:
    """The answers of the accuracy run *run*. Raises UsageError where its log is not whole, before anything runs."""
    try:
        logs.check_whole(run.accuracy_log)
        return accuracy_log.indexed(run.accuracy_log)
    except SampleError as error:
        hint = "Name another accuracy run; a log that was truncated for a submission cannot be compared."
        raise UsageError(f"the answers of the accuracy run cannot be read: {error}", hint=hint) from error


def written_audit(options: LoadgenRun, configured: lg.TestSettings) -> Path | None:
    """The audit.config of a compliance run, written into its folder; None for another run.

    Raises UsageError where the test needs more samples.
    """
    if options.compliance is None:
        return None
    count = configured.performance_sample_count_override
    if options.compliance is ComplianceTest.TEST04 and count < audit.LEAST_SAMPLES:
        raise UsageError(f"{options.compliance} needs {audit.LEAST_SAMPLES} samples of the data set; there are {count}")
    # LoadGen takes this from no file but its own mlperf.conf. A round's seeds for the test are given as others are.
    configured.test05 = options.compliance is ComplianceTest.TEST05 and options.qsl_rng_seed is None
    path = options.folders.results / audit.NAME
    write_atomically(path, audit.text(options.compliance, options.cell.compliance).encode())
    return path


def verify(
    options: LoadgenRun,
    benchmark: Benchmark[D, F, S],
    prepared: Prepared[D, S],
    runs: EarlierRuns,
    log: DetailLog,
    events: Events,
) -> Compliance:
    """Hold the run to *runs*, write the verdict's files, and give it."""
    assert options.compliance is not None  # noqa: S101  # for the type checker
    events.phase(Phase.VERIFY)
    folder = options.folders.results
    compared = figures.compare(options.compliance, options.scenario, runs.performance.log, log)
    slow = list(figures.problems(options.scenario, runs.performance.log, log, compared))
    told = [f"reference {compared.reference}", f"test {compared.value}", f"ratio {compared.ratio}"]
    _write_verdict(folder / VERIFIED_PERFORMANCE, told, slow)
    wrong, found = [*audit.unread(options.compliance, options.cell.compliance, log), *slow], None
    if options.compliance is ComplianceTest.TEST05:
        wrong += audit.other_seeds(log, runs.performance.seeds)
    if runs.answers is not None:
        checked = _Answers(benchmark, prepared, runs.answers, folder, events)
        found, other = checked.verify()
        wrong += other
    return Compliance(options.compliance, not wrong, tuple(wrong), found, compared)


class _Answers:
    """The answers of a compliance run, against those of the accuracy run."""

    def __init__(
        self,
        benchmark: Benchmark[D, F, S],
        prepared: Prepared[D, S],
        reference: IndexedLog,
        folder: Path,
        events: Events,
    ) -> None:
        self._log, self._folder, self._events = folder / accuracy_log.NAME, folder, events
        self._reference = reference
        self._kind = benchmark.payload(prepared.dataset).dtype
        self._score: Scorer = lambda log: benchmark.score(log, prepared.dataset, prepared.samples, part=True)

    def verify(self) -> tuple[AnswersCompared, list[str]]:
        """The comparison, and why it does not pass."""
        logs.check_whole(self._log)
        found = answers.compare(self._reference, self._log, self._kind)
        _write_verdict(self._folder / VERIFIED_ACCURACY, self._told(found), _differing(found))
        self._write_accuracy()
        if found.passed or not found.compared or found.unknown:
            return _reply(found), _differing(found)
        return self._by_scores(found)

    def _told(self, found: AnswerComparison) -> list[str]:
        return [
            f"answers of the accuracy run: {self._reference.entries}",
            f"answers of the compliance run: {found.logged}",
            f"compared: {found.compared}",
            f"first value differs: {found.first_element_differing}",
            f"any byte differs: {found.differing}",
            f"largest difference of two values: {found.largest_difference}",
            f"not answered in the accuracy run: {found.unknown}",
        ]

    def _write_accuracy(self) -> None:
        try:
            _write_lines(self._folder / ACCURACY, [self._score(self._log).line])
        except (SampleError, DatasetError) as error:
            self._events.notice(f"{ACCURACY} is not written: {error}")

    def _by_scores(self, found: AnswerComparison) -> tuple[AnswersCompared, list[str]]:
        try:
            compared = scores.compare(self._score, self._reference, found, self._log)
        except (SampleError, DatasetError) as error:
            return _reply(found), [*_differing(found), f"the answers cannot be scored: {error}"]
        _write_lines(self._folder / BASELINE_SCORE, [compared.baseline.line])
        _write_lines(self._folder / COMPLIANCE_SCORE, [compared.compliance.line])
        reply = replace(
            _reply(found),
            path=ComparedBy.SCORES,
            baseline=_decisive(compared.baseline),
            score=_decisive(compared.compliance),
            high=compared.high,
        )
        if compared.passed:
            return reply, []
        apart = f"the scores differ by {100 * compared.difference:.3g} %, and {100 * MOST_APART:g} % passes"
        return reply, [*_differing(found), apart]


def _decisive(scored: Scored) -> float:
    return scored.values[0]


def _reply(found: AnswerComparison) -> AnswersCompared:
    return AnswersCompared(
        compared=found.compared,
        differing=found.differing,
        first_element_differing=found.first_element_differing,
        unknown=found.unknown,
        largest_difference=found.largest_difference,
        path=ComparedBy.FIRST_ELEMENT,
    )


def _differing(found: AnswerComparison) -> list[str]:
    """Why the first values do not pass."""
    wrong = []
    if not found.compared:
        wrong.append("no answer was compared: run longer (--min-duration)")
    if found.first_element_differing:
        wrong.append(f"{found.first_element_differing} of {found.compared} answers begin with another value")
    if found.unknown:
        wrong.append(f"the accuracy run did not answer {found.unknown} samples: name one of the whole data set")
    return wrong


def _write_verdict(path: Path, told: Iterable[str], wrong: list[str]) -> None:
    """Write what was compared, and the verdict on a line of its own."""
    _write_lines(path, [*told, *(f"{FAILED}: {each}" for each in wrong), *([] if wrong else [PASSED])])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
