"""Execution of a plan: what is not finished, one run after the other, by an executor.

A plan is all that an executor gets to know: runs in order, with the names of those that they need. This host is one
executor; a queue of jobs would be another, which hands out `runs.on_record.command` of each run.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.campaigns.text import time_text
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import (
    BuildError,
    ContainerError,
    DatasetError,
    DeviceError,
    MlperfDockerError,
    ModelFileError,
    UsageError,
)
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import session
from mlperf_docker.system import exclusive, folders

LOCK_FILE = ".campaign.lock"
# These say something of one run; anything else (no engine, no base, Ctrl-C) of the host, and ends the campaign's.
_OF_ONE_RUN = (BuildError, ContainerError, DatasetError, DeviceError, ModelFileError, UsageError)


class Executor(Protocol):
    """Executor of planned runs."""

    def execute(self, run: PlannedRun, display: Display) -> RunResult:
        """Run *run*, whose needs are finished, and return its result. Raises what goes wrong."""


class ThisHost:
    """Executor that runs the container here."""

    def execute(self, run: PlannedRun, display: Display) -> RunResult:
        """Run *run* and return its result."""
        return session.run(run.request, display)


@dataclass
class Outcome:
    """Outcome of a `campaign run`: the plan as it is afterwards, and what went wrong on the way."""

    plan: CampaignPlan
    done: int = 0
    """Number of runs that came to a result that counts."""
    errors: dict[str, MlperfDockerError] = field(default_factory=dict)
    """Name of a run → the error that it ended with."""


def execute(plan: Callable[[], CampaignPlan], executor: Executor, display: Display, *, go_on: bool = True) -> Outcome:
    """Run what is not finished, each run once, and return what came of it.

    plan: the plan as it stands, which is asked for after each run. go_on: whether a run that failed, or whose result
    does not count, lets the others run. Raises what says nothing of one run: EngineError, BaseImageError, Interrupted.
    """
    outcome, tried = Outcome(plan()), set[str]()
    while (run := _next(outcome.plan, tried)) is not None:
        tried.add(run.name)
        _say_next(outcome.plan, tried, run, display)
        try:
            executor.execute(run, _Numbered(display, _place(outcome.plan, run)))
        except _OF_ONE_RUN as error:
            outcome.errors[run.name] = error
            for line in error.lines():
                display.say(line)
        outcome.plan = plan()
        counts = _has(outcome.plan, run.name)
        outcome.done += counts
        if not counts and not go_on:
            break
    return outcome


def alone(results: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    """Hold the folder *results*, made where it is missing, against a second `campaign run`. Raises UsageError."""
    folders.make(results, "as `results` in campaign.yaml")
    held = UsageError(
        f"A campaign is running in {results} already.", hint="See how far it is: mlperf-docker campaign status"
    )
    return exclusive.alone(results / LOCK_FILE, held, "a second `campaign run`", say)


def _next(plan: CampaignPlan, tried: set[str]) -> PlannedRun | None:
    """Return the first run that is not finished, was not tried, and needs nothing that is not there."""
    finished = {run.name for run in plan.runs if run.finished}
    return next((run for run in plan.open if run.name not in tried and finished.issuperset(run.needs)), None)


def _has(plan: CampaignPlan, name: str) -> bool:
    """Tell whether the run *name* is finished."""
    return any(run.name == name and run.finished for run in plan.runs)


def _place(plan: CampaignPlan, run: PlannedRun) -> str:
    return f"{[each.name for each in plan.runs].index(run.name) + 1}/{len(plan.runs)}"


def _say_next(plan: CampaignPlan, tried: set[str], run: PlannedRun, display: Display) -> None:
    left = plan.time_of({each.name for each in plan.open if each.name == run.name or each.name not in tried})
    display.say(f"Run {_place(plan, run)}, {time_text(left)} left: {run.name}")


class _Numbered:
    """Display of one run among others: its phases begin with the run's number."""

    def __init__(self, display: Display, place: str) -> None:
        self._display, self._place = display, place
        self.progress, self.part, self.part_over = display.progress, display.part, display.part_over
        self.say = display.say

    def phase(self, name: str) -> None:
        """Begin a phase of the run."""
        self._display.phase(f"{self._place} {name}")
