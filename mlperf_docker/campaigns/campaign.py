"""Campaign: what campaign.yaml says, read and checked against the catalog and the round."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlperf_docker.campaigns import cell_reading
from mlperf_docker.campaigns.cell_reading import SharedByCells
from mlperf_docker.campaigns.cells import CampaignCell
from mlperf_docker.campaigns.entries import CampaignEntry, CellEntry
from mlperf_docker.campaigns.frame import Frame
from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.campaigns.noting import Noting
from mlperf_docker.catalog import checked_yaml
from mlperf_docker.catalog.checked_yaml import FileProblemsError
from mlperf_docker.contract.words import Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.names import RuntimeName
from mlperf_docker.rounds import loading as rounds
from mlperf_docker.rounds.round import Round
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.system import paths

FILE = "campaign.yaml"


@dataclass(frozen=True)
class Campaign:
    """Campaign: the cells that one system enters into a round with, and where their results are."""

    path: Path
    """The file that says so."""
    round: Round
    division: Division
    suite: Suite
    submitter: str
    system: Path | None
    """File of the system's description; None if it is not written yet."""
    results: Path
    """Folder of the results; it need not exist."""
    cells: tuple[CampaignCell, ...]
    bundle: Path | None = None
    """Folder of the bundle that nodes without an image take it from."""
    runtime: RuntimeName | None = None
    """What runs the containers; None for a Docker engine."""
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    """Where pods run, and what they see; the folders of its volumes are absolute."""


class CampaignError(FileProblemsError):
    """campaign.yaml has problems."""

    called = "campaign"


def load(path: Path) -> Campaign:
    """Read *path*, or the campaign.yaml in the folder *path*. Raises UsageError with all that is wrong, by line."""
    path = paths.resolved(path)
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        raise UsageError(f"There is no campaign {path}.", hint="Write one: mlperf-docker campaign init MODEL…")
    noting = Noting(path, checked_yaml.read(path, CampaignError))
    campaign = _campaign(noting)
    if campaign is None or noting.document.problems:
        raise CampaignError(path, noting.document.problems)
    return campaign


def _campaign(noting: Noting) -> Campaign | None:
    """Return the campaign, or None where a part of it cannot be understood."""
    data = checked_yaml.mapping_of(noting.document, CampaignEntry.model_fields)
    entry = noting.entry(CampaignEntry, data, ()) if data is not None else None
    round_ = noting.attempt(("round",), lambda: rounds.load().find(entry.round)) if entry else None
    if data is None or entry is None or round_ is None:
        _check_shapes(noting, data)
        return None
    common = cell_reading.options(noting, entry.options, ("options",), None)
    frame = Frame(round_, entry.division, entry.suite)
    slurm = cell_reading.slurm(noting, entry.slurm, ("slurm",))
    shared = SharedByCells(frame, common, noting.folder(("reference",), entry.reference))
    cells = [cell_reading.read(noting, raw, index, shared) for index, raw in enumerate(entry.cells)]
    _check_slots(noting, cells)
    _check_one_source(noting, entry.bundle, cells)
    return Campaign(
        path=noting.path,
        round=round_,
        division=entry.division,
        suite=entry.suite,
        submitter=entry.submitter,
        system=noting.file(("system",), entry.system),
        results=noting.attempt(("results",), lambda: noting.below(entry.results)) or noting.path.parent,
        cells=tuple(replace(cell, slurm=cell.slurm.over(slurm)) for cell in cells if cell is not None),
        bundle=noting.folder(("bundle",), entry.bundle),
        runtime=entry.runtime,
        kubernetes=_with_folders(noting, entry.kubernetes),
    )


def _with_folders(noting: Noting, settings: KubernetesSettings) -> KubernetesSettings:
    """Return *settings* with the folders of its volumes as this host knows them, without links."""
    found = []
    for index, each in enumerate(settings.volumes):
        path = noting.folder(("kubernetes", "volumes", index, "path"), each.path)
        found.append(each.model_copy(update={"path": str(paths.resolved(path))}) if path else each)
    return settings.model_copy(update={"volumes": tuple(found)})


def _check_shapes(noting: Noting, data: object) -> None:
    """Note what is wrong with the cells' entries by themselves, where nothing can be said of the whole."""
    raw = data.get("cells") if isinstance(data, dict) else None
    for index, each in enumerate(raw if isinstance(raw, list) else ()):
        noting.entry(CellEntry, each, ("cells", index))


def _check_one_source(noting: Noting, bundle: str | None, cells: Iterable[CampaignCell | None]) -> None:
    """Note the images that are pinned where all come from a bundle."""
    for index, cell in enumerate(cells):
        if bundle is not None and cell is not None and cell.image is not None:
            noting.note(("cells", index, "image"), "images come from the `bundle` of this file: leave out one of them")


def _check_slots(noting: Noting, cells: Iterable[CampaignCell | None]) -> None:
    """Note what two cells would both fill: a system has one result for each benchmark and scenario."""
    first: dict[tuple[str, Scenario], int] = {}
    lines: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if cell is None:
            continue
        if str(cell) in lines:
            told = f"{cell} is in line {lines[str(cell)]} already: write all of its scenarios there"
            noting.note(("cells", index), told)
            continue
        lines[str(cell)] = noting.line(("cells", index))
        for other, slots in _shared(cell, index, first).items():
            noting.note(("cells", index), _twice(slots, noting.line(("cells", other))))


def _shared(cell: CampaignCell, index: int, first: dict[tuple[str, Scenario], int]) -> dict[int, list[str]]:
    """Return what *cell* fills and an earlier cell does, by the index of that. first: the first cell of each."""
    shared: defaultdict[int, list[str]] = defaultdict(list)
    for scenario in cell.scenarios:
        for benchmark in scenario.benchmarks:
            other = first.setdefault((benchmark.name, scenario.scenario), index)
            if other != index:
                shared[other].append(f"{benchmark.name} {scenario.scenario}")
    return shared


def _twice(slots: Iterable[str], line: int) -> str:
    return (
        f"the cell in line {line} runs {', '.join(slots)} already, and a system has one result for each: leave one cell"
        " out, or say with `benchmarks` which one enters what"
    )
