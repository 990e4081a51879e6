"""Contents of a tree: every file with where it comes from. Reads results; writes nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.contract.words import ComplianceTest
from mlperf_docker.results.values import RunResult
from mlperf_docker.rounds.round import Round
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission import accuracy_logs, calibration, layout, measurements, readme, repeating, settings_files
from mlperf_docker.submission.entries import EntryRuns
from mlperf_docker.submission.files import AccuracyLog, Content, Files, TreeCopy, TreeText
from mlperf_docker.submission.image_records import ImageRecord
from mlperf_docker.submission.layout import Organisation
from mlperf_docker.system import strict_json

_VERDICTS = (layout.VERIFIED_ACCURACY, layout.VERIFIED_PERFORMANCE)


@dataclass(frozen=True)
class TreePlan:
    """Plan of one system's tree."""

    round: Round
    organisation: Organisation
    system: str
    description: Mapping[str, str]
    """The content of systems/<system>.json."""
    entries: tuple[EntryRuns, ...]
    images: Mapping[str, ImageRecord]
    """Images by their exact tags."""
    models: Sequence[ModelSpec]
    """All models that this tool knows."""

    @property
    def synthetic(self) -> bool:
        """Whether some entry is on synthetic data."""
        return any(each.synthetic for each in self.entries)


def files(plan: TreePlan) -> Files:
    """Return all files of the tree."""
    found = dict(_of_organisation(plan))
    for runs in plan.entries:
        found.update(_of_entry(plan, runs))
    for benchmark in dict.fromkeys(each.place.benchmark for each in plan.entries):
        found.update(_of_sources(plan, benchmark))
    return found


def _of_organisation(plan: TreePlan) -> Iterator[tuple[PurePosixPath, Content]]:
    organisation = plan.organisation
    if plan.synthetic:
        yield layout.SYNTHETIC_NOTE, TreeText(readme.synthetic_note())
    yield organisation.system(plan.system), _json(plan.description)
    if organisation.division is Division.CLOSED or any(run.precision != "fp32" for run in _runs(plan.entries)):
        yield organisation.calibration, TreeText(calibration.text(plan.models))


def _runs(entries: Iterable[EntryRuns]) -> Iterator[RunResult]:
    return (run for each in entries for run in each.runs)


def _of_entry(plan: TreePlan, runs: EntryRuns) -> Iterator[tuple[PurePosixPath, Content]]:
    place = runs.place
    for name in plan.round.layout.configuration_files:
        yield place.measurements / name, _SETTINGS[name](plan, runs)
    yield place.measurements_file, TreeText(measurements.text(runs.spec, runs.performance))
    yield from _copied(runs.performance, place.performance, layout.PERFORMANCE_FILES)
    yield from _copied(runs.accuracy, place.accuracy, layout.PERFORMANCE_FILES)
    yield from _answers(plan, runs.accuracy, place.accuracy)
    for test, run in runs.tests.items():
        yield from _of_test(plan, runs, test, run)


_SETTINGS: dict[str, Callable[[TreePlan, EntryRuns], Content]] = {
    layout.USER_CONF: lambda _, runs: TreeCopy(_folder(runs.performance) / layout.USER_CONF),
    layout.MLPERF_CONF: lambda _, runs: TreeText(settings_files.mlperf_conf(_folder(runs.performance))),
    layout.README: lambda plan, runs: TreeText(readme.scenario(runs, _source_name(plan, runs))),
}
"""File beside the measurements → its content."""


def _folder(run: RunResult) -> Path:
    return Path(run.results_dir)


def _copied(run: RunResult, to: PurePosixPath, names: Iterable[str]) -> Iterator[tuple[PurePosixPath, Content]]:
    return ((to / name, TreeCopy(_folder(run) / name)) for name in names)


def _answers(plan: TreePlan, run: RunResult, to: PurePosixPath) -> Iterator[tuple[PurePosixPath, Content]]:
    """Yield the logged answers, and their score with the checksum of all of them."""
    log = _folder(run) / layout.ACCURACY_LOG
    yield to / layout.ACCURACY_LOG, AccuracyLog(log, plan.round.accuracy_log_limit_bytes)
    yield to / layout.ACCURACY, TreeText(accuracy_logs.with_checksum(_score(_folder(run)), log))


def _score(folder: Path) -> str:
    """The score that was printed; a compliance run has one where scores were compared."""
    for name in (layout.ACCURACY, layout.COMPLIANCE_SCORE):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    return ""


def _of_test(
    plan: TreePlan, runs: EntryRuns, test: ComplianceTest, run: RunResult
) -> Iterator[tuple[PurePosixPath, Content]]:
    place, folder = runs.place, _folder(run)
    yield from _copied(run, place.test(test), (name for name in _VERDICTS if (folder / name).is_file()))
    yield from _copied(run, place.logs(test), layout.PERFORMANCE_FILES)
    if test.compares_answers:
        yield from _answers(plan, run, place.test_accuracy(test))
        scores = (name for name in layout.TEST_SCORES if (folder / name).is_file())
        yield from _copied(run, place.test_accuracy(test), scores)


def _source_folder(plan: TreePlan, benchmark: str) -> PurePosixPath:
    """One system's part of a benchmark's sources, so that trees of several systems go together."""
    return plan.organisation.source / benchmark / plan.system


def _source_name(plan: TreePlan, runs: EntryRuns) -> str:
    return str(_source_folder(plan, runs.place.benchmark).relative_to(plan.organisation.root))


def _of_sources(plan: TreePlan, benchmark: str) -> Iterator[tuple[PurePosixPath, Content]]:
    measured = _measured(each for each in plan.entries if each.place.benchmark == benchmark)
    folder = _source_folder(plan, benchmark)
    tags = dict.fromkeys(run.image.tag for run in _runs(measured) if run.image is not None)
    images = [plan.images[tag] for tag in tags if tag in plan.images]
    yield folder.parent / layout.README, TreeText(readme.source(benchmark))
    yield folder / layout.README, TreeText(readme.system_source(measured, images))
    yield folder / "repeat.sh", TreeText(repeating.script(_runs(measured)))
    for image in images:
        for name, text in image.files.items():
            yield folder / "image" / image.folder / name, TreeText(text)
    for entry in measured:
        for kind, run in entry.by_kind.items():
            yield folder / "results" / f"{entry.scenario}-{kind}.json", _json(repeating.record(run))


def _measured(entries: Iterable[EntryRuns]) -> list[EntryRuns]:
    """One entry for each scenario that was measured; others repeat the runs of these."""
    found: dict[str, EntryRuns] = {}
    for each in entries:
        found.setdefault(each.scenario, each)
    return list(found.values())


def _json(value: object) -> Content:
    return TreeText(f"{strict_json.dumps(value)}\n")
