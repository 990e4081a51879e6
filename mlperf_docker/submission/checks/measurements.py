"""Check of what belongs to a scenario beside its logs: facts of the model, settings, README, source, calibration."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.checks.examined import ExaminedEntry, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.tree import SubmissionTree
from mlperf_docker.submission.layout import Organisation


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield what is missing or empty, and the keys that say nothing."""
    for entry in examined.entries:
        yield from _configuration(examined, entry)
        yield from _facts(examined, entry)
    for organisation in examined.organisations:
        if examined.tree.has_folder(str(organisation.results)):
            yield from _documents(examined.tree, organisation)


def _configuration(examined: ExaminedTree, entry: ExaminedEntry) -> Iterator[TreeFinding]:
    folder = entry.entry.measurements
    for name in examined.round.layout.configuration_files:
        yield from filled(examined.tree, folder / name)


def filled(tree: SubmissionTree, path: PurePosixPath) -> Iterator[TreeFinding]:
    """Yield a finding where *path* is missing or empty."""
    if not tree.has_file(str(path)):
        yield TreeFinding(Fault.FILE_MISSING, str(path))
    elif tree.nodes[str(path)].size == 0:
        yield TreeFinding(Fault.FILE_EMPTY, str(path))


def _facts(examined: ExaminedTree, entry: ExaminedEntry) -> Iterator[TreeFinding]:
    path = _facts_file(examined, entry)
    if not examined.tree.has_file(str(path)):
        yield TreeFinding(Fault.FILE_MISSING, str(path), "the facts of the model")
    facts = examined.documents.json(path)
    for key in examined.round.measurement_keys if facts is not None else ():
        if not (facts or {}).get(key):
            yield TreeFinding(Fault.MEASUREMENTS_KEY, str(path), _said(facts or {}, key), key)


def _facts_file(examined: ExaminedTree, entry: ExaminedEntry) -> PurePosixPath:
    """The file with the facts; up to v5.1 the one whose name begins with the system's, which ends in the scenario's."""
    own, folder = entry.entry.measurements_file, entry.entry.measurements
    if examined.tree.has_file(str(own)) or not examined.round.layout.is_separate:
        return own
    names = [each for each in examined.tree.files_in(str(folder)) if each.startswith(entry.entry.system)]
    named = [each for each in names if each.endswith(f"_{entry.entry.scenario}.json")]
    others = [each for each in names if each.endswith(".json")]
    return folder / (*named, *others, own.name)[0]


def _said(facts: dict[str, Any], key: str) -> str:
    return f"{facts[key]!r}" if key in facts else "missing"


def _documents(tree: SubmissionTree, organisation: Organisation) -> Iterator[TreeFinding]:
    """Yield the folder of the source, and the description of calibration, where there is none."""
    if not tree.has_folder(str(organisation.source)):
        yield TreeFinding(Fault.SOURCE_MISSING, str(organisation.source))
    places = (organisation.calibration, organisation.root / organisation.calibration.name)
    if organisation.division is Division.CLOSED and not any(tree.has_file(str(each)) for each in places):
        yield TreeFinding(Fault.CALIBRATION_MISSING, str(organisation.calibration))
