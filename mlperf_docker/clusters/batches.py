"""Batches of a plan: runs that a cluster takes as one array of jobs, in the order in which they can begin."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Set
from dataclasses import dataclass

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun


@dataclass(frozen=True)
class RunBatch:
    """Runs of one wave that are alike: none needs another of them."""

    wave: int
    """0 for runs that can begin at once; more for those that need a run of an earlier wave."""
    runs: tuple[PlannedRun, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the runs, in the plan's order."""
        return tuple(run.name for run in self.runs)

    @property
    def needs(self) -> frozenset[str]:
        """The names of the runs that have to end before."""
        return frozenset(name for run in self.runs for name in run.needs)


def batches(
    plan: CampaignPlan, kind: Callable[[PlannedRun], Hashable], *, without: Set[str] = frozenset()
) -> tuple[RunBatch, ...]:
    """Return the open runs of *plan* as batches, each after those that it needs.

    kind: equal for runs that the cluster can take as one array, as they ask for equal resources. without: names of runs
    that are left out, as a queue has them already; they are in no wave, and nothing waits a wave for them.
    """
    waves = _waves(plan, without)
    found: defaultdict[tuple[int, Hashable], list[PlannedRun]] = defaultdict(list)
    for run in plan.open:
        if run.name in waves:
            found[waves[run.name], kind(run)].append(run)
    made = (RunBatch(wave, tuple(runs)) for (wave, _), runs in found.items())
    return tuple(sorted(made, key=lambda batch: batch.wave))


def _waves(plan: CampaignPlan, without: Set[str]) -> dict[str, int]:
    """Return the wave of each open run, by its name: a plan has runs after those that they need."""
    waves: dict[str, int] = {}
    for run in plan.open:
        if run.name not in without:
            waves[run.name] = max((waves[name] + 1 for name in run.needs if name in waves), default=0)
    return waves
