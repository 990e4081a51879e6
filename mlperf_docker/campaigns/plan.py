"""Plan of a campaign: its runs in order, what each fills, its state, and what it waits for."""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from mlperf_docker.campaigns import attempts, estimates, requests, turns
from mlperf_docker.campaigns.attempts import Attempt
from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.cells import CampaignCell
from mlperf_docker.campaigns.cluster_jobs import ClusterJob
from mlperf_docker.campaigns.estimates import Estimate
from mlperf_docker.campaigns.inputs import CellInputs, of_cells
from mlperf_docker.campaigns.matching import differences, is_of
from mlperf_docker.campaigns.requests import WantedRun
from mlperf_docker.campaigns.slots import Kind, Slot, run_name
from mlperf_docker.campaigns.targets import KnownScores
from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.display.progress import Display
from mlperf_docker.images.sources import Sources
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.rounds.words import Division
from mlperf_docker.runs.request import RunRequest


class State(StrEnum):
    """State of a planned run, as the results folder tells it."""

    FINISHED = "finished"
    """A result that counts, of this image, model file, data set and settings, is there."""
    RUNNING = "running"
    """A process of this host is at it, by `campaign run`, or by `run` if its folder is the newest; or a cluster job."""
    QUEUED = "queued"
    """A cluster has a job for it, which waits."""
    MISSING = "missing"
    """Nothing is there yet."""
    WAITING = "waiting"
    """Runs that it needs are not finished."""
    STALE = "stale"
    """Its newest result is of another image, model file or data set, or of other settings."""
    INVALID = "INVALID"
    """Its newest result does not count."""
    FAILED = "failed"
    """Its newest attempt left no result."""


@dataclass(frozen=True)
class PlannedRun:
    """Run of a plan: one container, which fills one slot or several."""

    cell: CampaignCell
    slots: tuple[Slot, ...]
    """Places that it fills: several where a model serves several benchmarks. Those whose accuracy target it is known to
    miss are left out."""
    request: RunRequest
    """All that it takes to run it; of a compliance run without the runs that it is held to, until they are finished."""
    needs: tuple[str, ...]
    """Names of the runs whose results it needs."""
    state: State
    why: tuple[str, ...] = ()
    """Reasons for the state: what differs, what is not met, what it waits for."""
    result: RunResult | None = None
    """Its result, if it is finished; result.results_dir is its folder."""
    unfit: RunResult | None = None
    """The newest result that does not count, if it is INVALID or stale."""
    estimate: Estimate = field(default_factory=lambda: Estimate(None))
    job: ClusterJob | None = None
    """The job of a cluster that has it, or had it last; None where no cluster was asked."""

    @property
    def name(self) -> str:
        """What tells it from the plan's other runs."""
        return run_name(self.cell, self.scenario, self.kind)

    @property
    def kind(self) -> Kind:
        """Performance, accuracy, or the compliance test."""
        return self.request.options.compliance or self.request.options.mode

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.request.options.scenario

    @property
    def finished(self) -> bool:
        """Whether it has its result."""
        return self.state is State.FINISHED


@dataclass(frozen=True)
class CampaignPlan:
    """Plan: the runs of a campaign, each after those that it needs."""

    campaign: Campaign
    runs: tuple[PlannedRun, ...]
    notes: tuple[str, ...] = ()
    """What the plan decided that a reader should know, such as benchmarks whose target was missed."""

    @property
    def complete(self) -> bool:
        """Whether every run is finished."""
        return all(run.finished for run in self.runs)

    @property
    def open(self) -> tuple[PlannedRun, ...]:
        """The runs that are not finished."""
        return tuple(run for run in self.runs if not run.finished)

    @property
    def time_left(self) -> Estimate:
        """How long the runs that are not finished take."""
        return self.time_of({run.name for run in self.open})

    def time_of(self, names: Set[str]) -> Estimate:
        """How long the runs with *names* take."""
        return estimates.total(run.estimate for run in self.runs if run.name in names)

    def filled(self) -> Iterator[tuple[Slot, PlannedRun]]:
        """Yield every slot that a finished run fills, with that run."""
        for run in self.runs:
            if run.finished:
                yield from ((slot, run) for slot in run.slots)

    def only(self, names: Collection[str] | None) -> "CampaignPlan":
        """Return the plan of the runs that have *names*, of all where none is given, in the order of this one.

        Raises UsageError for a name that no run has.
        """
        chosen = {_named(self.runs, name).name for name in names or ()}
        return replace(self, runs=tuple(run for run in self.runs if run.name in chosen)) if chosen else self

    def run_for(self, slot: Slot) -> PlannedRun | None:
        """Return the run that fills *slot*, finished or not; None where the plan has none."""
        return next((run for run in self.runs if slot in run.slots), None)


@dataclass(frozen=True)
class Planner:
    """Planner: the inputs, which take time to look at, once, and plans from the results folder as often as asked."""

    campaign: Campaign
    wanted: tuple[WantedRun, ...]
    inputs: Mapping[str, CellInputs]

    def plan(self) -> CampaignPlan:
        """Return the plan as the results folder tells it now."""
        folder = _Folder.read(self.campaign.results)
        runs: dict[str, PlannedRun] = {}
        for each in self.wanted:
            runs[each.name] = self._planned(each, folder, runs)
        scores = KnownScores.of(run.result for run in runs.values() if run.result and run.kind is Mode.ACCURACY)
        found = [scores.narrowed(run.slots, run.cell, self.campaign) for run in runs.values()]
        planned = tuple(replace(run, slots=slots) for run, (slots, _) in zip(runs.values(), found, strict=True))
        of_scores = (note for _, told in found for note in told)
        notes = dict.fromkeys((*requests.notes(self.campaign), *of_scores))
        return CampaignPlan(self.campaign, planned, tuple(notes))

    def _planned(self, run: WantedRun, folder: "_Folder", others: Mapping[str, PlannedRun]) -> PlannedRun:
        """Return *run* with its state. others: the runs before it by name, among them those that it needs."""
        references = {others[name].kind: others[name] for name in run.needs if name in others}
        held_to = {Mode(kind): each.result.name for kind, each in references.items() if each.result}
        request = replace(
            run.request, performance_run=held_to.get(Mode.PERFORMANCE), accuracy_run=held_to.get(Mode.ACCURACY)
        )
        unknown = PlannedRun(run.cell, run.slots, request, run.needs, State.MISSING)
        unknown = replace(unknown, estimate=estimates.estimate(run, folder.results))
        found = self._found(run, unknown, folder, held_to)
        waits = tuple(kind for kind, each in references.items() if not each.finished)
        if waits and found.state is not State.RUNNING:
            return replace(found, state=State.WAITING, why=(f"for its {' and '.join(waits)} run",), result=None)
        return found

    def _found(self, run: WantedRun, unknown: PlannedRun, folder: "_Folder", held_to: Mapping[Mode, str]) -> PlannedRun:
        """Return the planned run with what the results folder has of it."""
        candidates = [each for each in reversed(folder.results) if is_of(each, run)]
        other = {each.name: differences(each, run, self.inputs[str(run.cell)], held_to) for each in candidates}
        fitting = [each for each in candidates if not other[each.name]]
        result = next((each for each in fitting if self._counts(each)), None)
        if result is not None:
            return replace(unknown, state=State.FINISHED, result=result)
        attempt = attempts.newest(run.request, folder.without_result, candidates)
        if attempt is not None:
            return self._attempted(unknown, attempt, folder)
        if fitting:
            return replace(unknown, state=State.INVALID, why=_reasons(fitting[0]), unfit=fitting[0])
        if candidates:
            newest = candidates[0]
            return replace(unknown, state=State.STALE, why=other[newest.name], unfit=newest)
        return unknown

    def _attempted(self, run: PlannedRun, attempt: Attempt, folder: "_Folder") -> PlannedRun:
        """Return *run*, whose newest folder has no result: it is at work there, or has failed."""
        is_newest = folder.is_held and attempt.folder == folder.without_result[-1]
        if is_newest or turns.is_taken(self.campaign.results, run.name):
            return replace(run, state=State.RUNNING, why=(attempt.folder.name,))
        return replace(run, state=State.FAILED, why=(attempt.reason, f"see {attempt.folder}"))

    def _counts(self, result: RunResult) -> bool:
        """Tell whether *result* ends its run: in the open division an accuracy is only reported."""
        is_reported = self.campaign.division is Division.OPEN and result.mode is Mode.ACCURACY
        passed = result.compliance is None or result.compliance.passed
        return (result.valid and passed) or (is_reported and result.accuracy is not None)


@dataclass(frozen=True)
class _Folder:
    """Results folder at one moment."""

    results: Sequence[RunResult]
    without_result: Sequence[Path]
    is_held: bool

    @classmethod
    def read(cls, root: Path) -> "_Folder":
        """Read *root*; one that is not there has nothing."""
        return cls(store.read_all(root).results, store.without_result(root), store.is_held(root))


def _reasons(result: RunResult) -> tuple[str, ...]:
    """Return why *result* does not count."""
    return result.reasons or (result.compliance.reasons if result.compliance else ())


def _named(runs: Sequence[PlannedRun], name: str) -> PlannedRun:
    found = next((run for run in runs if run.name == name), None)
    if found is None:
        raise UnknownNameError("run of this campaign", name, [run.name for run in runs])
    return found


def planner(campaign: Campaign, sources: Sources, display: Display) -> Planner:
    """Return the planner of *campaign*. Raises UsageError with every input that is missing."""
    sources = replace(sources, bundle=sources.bundle or campaign.bundle, runtime=sources.runtime or campaign.runtime)
    inputs = of_cells(campaign.cells, sources, display)
    return Planner(campaign, tuple(requests.wanted(campaign, sources, inputs)), inputs)


def plan(campaign: Campaign, sources: Sources, display: Display) -> CampaignPlan:
    """Return the plan of *campaign* as it stands. Raises UsageError with every input that is missing."""
    return planner(campaign, sources, display).plan()
