"""Accuracy of a run, by the scoring script of the reference, beside its target."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import Mode
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.scores import Accuracy, JudgedScore
from mlperf_docker.harness.commands import run as own
from mlperf_docker.harness.loadgen import logs
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.system.files import write_atomically
from mlperf_docker.reference_harness.models import files
from mlperf_docker.reference_harness.runs.preparation import PreparedFiles
from mlperf_docker.reference_harness.script import scoring


@dataclass(frozen=True)
class ScoredRun:
    """Accuracy of a run, and what is to be known of it."""

    accuracy: Accuracy
    remarks: tuple[str, ...] = ()


def score(prepared: PreparedFiles, events: Events) -> ScoredRun | None:
    """The accuracy by the reference's script, also written to accuracy.txt; None for a performance run."""
    given, options = prepared.given, prepared.given.options
    if options.mode is not Mode.ACCURACY:
        return None
    events.phase(Phase.SCORE)
    folder = options.folders.results
    whole = folder / accuracy_log.NAME
    logs.check_whole(whole)
    log = files.scored_log(options.cell.model)(given, whole)
    scored = _scored(prepared, log)
    remarks = () if log == whole else (given.reference.scoring.whole.format(line=_scored(prepared, whole).line),)
    write_atomically(folder / "accuracy.txt", f"{scored.line}\n".encode())
    return ScoredRun(Accuracy(tuple(_judged(prepared, scored))), remarks)


def _scored(prepared: PreparedFiles, log: Path) -> scoring.ReferenceScores:
    """What the reference's script says of *log*."""
    given, values = prepared.given, {**prepared.values, "accuracy_log": log}
    return scoring.score(given.reference, given.checkout, values, given.work)


def _judged(prepared: PreparedFiles, scored: scoring.ReferenceScores) -> Iterator[JudgedScore]:
    """Each score beside its target: of synthetic data the known one, which the script may have rounded."""
    given, benchmark = prepared.given, prepared.given.benchmark
    known = benchmark.known_scores(given.synthetic, given.count) if given.synthetic else None
    for number, metric in enumerate(benchmark.metrics):
        printed = scored.values.get(metric)
        if printed is not None:
            tolerance = benchmark.tolerance + printed.rounding
            yield own.judged(given.options, tolerance, metric, printed.value, known[number] if known else None)
