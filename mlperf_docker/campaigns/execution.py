"""Execution of a plan: what is not finished, one run after the other, by an executor.

A plan is all that an executor gets to know: runs in order, with the names of those that they need. Several processes,
on one node or many, may execute one plan at once: none of them takes a run that another one is at.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from mlperf_docker.campaigns import turns
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.campaigns.text import time_text
from mlperf_docker.contract.words import Mode
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

REPEATS = 2
"""Times that a performance run is repeated because a compliance test of it had another speed."""
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


def execute(
    plan: Callable[[], CampaignPlan],
    executor: Executor,
    display: Display,
    *,
    only: Collection[str] | None = None,
    go_on: bool = True,
) -> Outcome:
    """Run what is not finished, each run once, and return what came of it.

    plan: the plan as it stands, which is asked for after each run. only: names of the runs to do; None for all. go_on:
    whether a run that failed, or whose result does not count, lets the others run. Raises UsageError for a name that no
    run has, and what says nothing of one run: EngineError, BaseImageError, Interrupted.

    A compliance test and its performance run have to be equally fast, so one of them was disturbed where they are not;
    which one, nobody knows. Then both are run again, the performance run at most twice.
    """
    return _Execution(plan, executor, display, only).execute(go_on=go_on)


class _Execution:
    def __init__(
        self,
        plan: Callable[[], CampaignPlan],
        executor: Executor,
        display: Display,
        only: Collection[str] | None,
    ) -> None:
        self._plan, self._executor, self._display = plan, executor, display
        self._outcome = Outcome(plan())
        self._wanted = [run.name for run in self._outcome.plan.only(only).runs]
        self._tried, self._elsewhere, self._repeats = set[str](), set[str](), Counter[str]()

    def execute(self, *, go_on: bool) -> Outcome:
        while (run := self._next()) is not None:
            if self._take(run) and not self._finished(run.name) and not go_on:
                break
            self._repeat_disturbed(run.name)
        return self._outcome

    def _next(self) -> PlannedRun | None:
        """Return a run that is not finished, was not tried, and needs nothing that is not there; None for none.

        One that another process is at comes last.
        """
        finished = {run.name for run in self._outcome.plan.runs if run.finished}
        ready = [run for run in self._open() if run.name not in self._tried and finished.issuperset(run.needs)]
        return next((run for run in ready if run.name not in self._elsewhere), next(iter(ready), None))

    def _open(self) -> list[PlannedRun]:
        return [run for run in self._outcome.plan.open if run.name in self._wanted]

    def _take(self, run: PlannedRun) -> bool:
        """Run *run* unless another process does; tell whether it was run here."""
        results, waits = self._outcome.plan.campaign.results, run.name in self._elsewhere
        try:
            with turns.of_run(results, run.name, self._display.say if waits else None):
                return self._in_turn(run.name)
        except BlockingIOError:
            self._elsewhere.add(run.name)
            return False

    def _in_turn(self, name: str) -> bool:
        """Run *name* as the plan has it now, unless it was finished meanwhile, and tell whether it was."""
        self._outcome.plan = self._plan()
        run = self._named(name)
        self._tried.add(name)
        if run.finished:
            return False
        self._say_next(run)
        self._outcome.done += self._run(run)
        return True

    def _run(self, run: PlannedRun) -> bool:
        """Run *run*, and tell whether it is finished with that."""
        try:
            self._executor.execute(run, _Numbered(self._display, self._place(run)))
        except _OF_ONE_RUN as error:
            self._outcome.errors[run.name] = error
            for line in error.lines():
                self._display.say(line)
        self._outcome.plan = self._plan()
        return self._finished(run.name)

    def _repeat_disturbed(self, name: str) -> None:
        """Run the performance run of the test *name* again, and then the tests of it, if their speeds are apart."""
        test = self._named(name)
        unfit = test.unfit
        if test.finished or unfit is None or unfit.compliance is None or unfit.compliance.performance.close:
            return
        (performance,) = (run for run in map(self._named, test.needs) if run.kind is Mode.PERFORMANCE)
        if self._repeats[performance.name] == REPEATS or not performance.finished:
            return
        self._repeats[performance.name] += 1
        self._display.say(
            f"{test.kind} had another speed than its performance run, so something disturbed one of them: both once"
            f" more ({self._repeats[performance.name]} of {REPEATS})."
        )
        with turns.of_run(self._outcome.plan.campaign.results, performance.name, self._display.say):
            self._run(performance)
        self._tried -= {run.name for run in self._outcome.plan.runs if performance.name in run.needs}

    def _finished(self, name: str) -> bool:
        return self._named(name).finished

    def _named(self, name: str) -> PlannedRun:
        return next(run for run in self._outcome.plan.runs if run.name == name)

    def _place(self, run: PlannedRun) -> str:
        return f"{self._wanted.index(run.name) + 1}/{len(self._wanted)}" if run.name in self._wanted else run.kind

    def _say_next(self, run: PlannedRun) -> None:
        names = {each.name for each in self._open() if each.name == run.name or each.name not in self._tried}
        left = self._outcome.plan.time_of(names)
        self._display.say(f"Run {self._place(run)}, {time_text(left)} left: {run.name}")


class _Numbered:
    """Display of one run among others: its phases begin with the run's number."""

    def __init__(self, display: Display, place: str) -> None:
        self._display, self._place = display, place
        self.progress, self.part, self.part_over = display.progress, display.part, display.part_over
        self.say = display.say

    def phase(self, name: str) -> None:
        """Begin a phase of the run."""
        self._display.phase(f"{self._place} {name}")
