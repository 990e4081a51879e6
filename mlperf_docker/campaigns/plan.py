"""Plan of a campaign: its runs in order, what each fills, its state, and what it waits for."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.cells import CampaignCell
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs.request import RunRequest

Kind = Mode | ComplianceTest
"""Kind of a run: performance, accuracy, or the compliance test that it is for."""


class State(StrEnum):
    """State of a planned run, as the results folder tells it."""

    FINISHED = "finished"
    """A valid result of this image, model file, data set and settings is there."""
    MISSING = "missing"
    """Nothing is there yet."""
    WAITING = "waiting"
    """Runs that it needs are not finished."""
    STALE = "stale"
    """Its newest result is of another image, model file, data set, or of other settings."""
    INVALID = "INVALID"
    """Its newest result does not count."""
    FAILED = "failed"
    """Its newest attempt left no result."""


@dataclass(frozen=True)
class Slot:
    """Place of a submission tree that one run fills."""

    benchmark: str
    """Name in the round, as `bert-99`."""
    scenario: Scenario
    kind: Kind

    def __str__(self) -> str:
        return f"{self.benchmark} {self.scenario} {self.kind}"


@dataclass(frozen=True)
class Estimate:
    """Estimate of a run's time."""

    seconds: float | None
    """None if unknown."""
    at_least: bool = False
    """Whether the time depends on a rate that is not known yet: then seconds is the least that it takes."""


@dataclass(frozen=True)
class PlannedRun:
    """Run of a plan: one container, which fills one slot or several."""

    cell: CampaignCell
    slots: tuple[Slot, ...]
    """Places that it fills: several where a model serves several benchmarks. Those whose accuracy target it is known to
    miss are left out."""
    request: RunRequest
    """All that it takes to run it, without results that it needs of other runs."""
    needs: tuple[str, ...]
    """Names of the runs whose results it needs."""
    state: State
    why: tuple[str, ...] = ()
    """Reasons for the state: what differs, what is not met, what it waits for."""
    result: RunResult | None = None
    """Its result, if it is finished; result.results_dir is its folder."""
    unfit: RunResult | None = None
    """The newest result that does not count, if it is INVALID or stale."""
    estimate: Estimate = Estimate(None)

    @property
    def kind(self) -> Kind:
        """Performance, accuracy, or the compliance test."""
        return self.request.options.compliance or self.request.options.mode

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.request.options.scenario

    @property
    def name(self) -> str:
        """What tells it from the plan's other runs."""
        return f"{self.cell} {self.scenario} {self.kind}"

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

    def filled(self) -> Iterator[tuple[Slot, PlannedRun]]:
        """Yield every slot that a finished run fills, with that run."""
        for run in self.runs:
            if run.finished:
                yield from ((slot, run) for slot in run.slots)

    def run_for(self, slot: Slot) -> PlannedRun | None:
        """Return the run that fills *slot*, finished or not; None where the plan has none."""
        return next((run for run in self.runs if slot in run.slots), None)
