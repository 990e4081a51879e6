"""Execution of a plan: everything that is missing, once, in order; and what becomes of failures."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.campaigns import execution, turns
from mlperf_docker.campaigns.plan import PlannedRun, Planner, State
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import ContainerError, EngineError, MlperfDockerError
from mlperf_docker.results.values import RunResult
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import FIGURES, finish, plans, verdict
from tests.fakes.engine import FakeDisplay

_WITHOUT_IT = 10
"""Runs of all 12 that do not need the first one."""
TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"


@dataclass
class Recorded:
    """Executor that writes the results which runs would have, or fails as it is told."""

    planner: Planner
    fails: dict[str, MlperfDockerError] = field(default_factory=dict)
    invalid: set[str] = field(default_factory=set)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    """Speeds of a test's runs as parts of its performance run's; afterwards, and of others, it is equally fast."""
    ran: list[str] = field(default_factory=list)
    after: Callable[[], None] = lambda: None
    """What happens after each run."""

    def execute(self, run: PlannedRun, display: Display) -> RunResult:
        short = run.name.split(" ", 2)[2]
        self.ran.append(short)
        display.phase("loadgen")
        if short in self.fails:
            raise self.fails[short]
        ratios = self.ratios.get(short)
        changes = {"compliance": _apart(run, ratios.pop(0))} if ratios else {"valid": short not in self.invalid}
        result = finish(run, self.planner, **changes)
        self.after()
        return result


def _apart(run: PlannedRun, ratio: float) -> dict[str, Any]:
    """Verdict of a test that failed by its speed."""
    figures = {**FIGURES, "value": ratio, "ratio": ratio}
    return {**verdict(run), "passed": False, "reasons": ["too slow"], "performance": figures}


@pytest.fixture
def executor(tmp_path: Path) -> Recorded:
    return Recorded(plans(campaign(tmp_path, "- model: resnet50", TINY)))


def run(executor: Recorded, *, go_on: bool = True, only: Sequence[str] | None = None) -> execution.Outcome:
    return execution.execute(executor.planner.plan, executor, FakeDisplay(), only=only, go_on=go_on)


def test_everything_that_is_missing_is_run_once_in_the_plans_order(executor: Recorded) -> None:
    names = [each.name.split(" ", 2)[2] for each in executor.planner.plan().runs]
    outcome = run(executor)
    assert (executor.ran, outcome.plan.complete, outcome.done) == (names, True, 12)
    executor.ran.clear()
    assert run(executor).plan.complete
    assert executor.ran == []


def test_a_run_is_shown_by_its_number_and_the_time_that_is_left(executor: Recorded) -> None:
    display = FakeDisplay()
    execution.execute(executor.planner.plan, executor, display)
    assert display.said[0].startswith("Run 1/12, at least ")
    assert display.said[0].endswith("resnet50:onnxruntime-cpu fp32 SingleStream accuracy")
    assert display.phases[-1] == "12/12 loadgen"


def test_a_failed_run_lets_the_others_run_but_those_that_need_it(executor: Recorded) -> None:
    executor.fails["Offline performance"] = ContainerError("The container died.")
    executor.invalid.add("SingleStream accuracy")
    outcome = run(executor)
    assert list(map(str, outcome.errors.values())) == ["The container died."]
    left = {each.name.split(" ", 2)[2]: each.state for each in outcome.plan.open}
    assert left == {
        "SingleStream accuracy": State.INVALID,
        "Offline performance": State.MISSING,
        "SingleStream TEST01": State.WAITING,
        "Offline TEST01": State.WAITING,
        "Offline TEST04": State.WAITING,
    }
    assert (outcome.done, len(executor.ran)) == (7, 9)


@pytest.mark.parametrize("kind", ["failed", "invalid"])
def test_a_failed_run_stops_the_others_where_that_is_asked_for(kind: str, executor: Recorded) -> None:
    if kind == "failed":
        executor.fails["MultiStream accuracy"] = ContainerError("The container died.")
    else:
        executor.invalid.add("MultiStream accuracy")
    assert not run(executor, go_on=False).plan.complete
    assert executor.ran == ["SingleStream accuracy", "MultiStream accuracy"]


def test_a_host_without_an_engine_ends_the_campaign_at_once(executor: Recorded) -> None:
    executor.fails["MultiStream accuracy"] = EngineError("No engine.")
    with pytest.raises(EngineError):
        run(executor)
    assert executor.ran == ["SingleStream accuracy", "MultiStream accuracy"]


def test_a_test_of_another_speed_is_repeated_with_its_performance_run(executor: Recorded) -> None:
    executor.ratios["Offline TEST01"] = [0.7, 1.2]
    outcome = run(executor)
    assert (outcome.plan.complete, outcome.done) == (True, 12)
    both = ["Offline performance", "Offline TEST01"]
    place = executor.ran.index("Offline TEST01")
    assert executor.ran[place : place + 5] == ["Offline TEST01", *both, *both]
    assert executor.ran.count("Offline TEST01") == 3


def test_a_test_that_never_has_the_speed_ends_after_two_repeats(executor: Recorded) -> None:
    executor.ratios["Offline TEST01"] = [0.7] * 9
    outcome = run(executor)
    assert executor.ran.count("Offline performance") == executor.ran.count("Offline TEST01") == 1 + execution.REPEATS
    (left,) = outcome.plan.open
    assert (left.name.split(" ", 2)[2], left.state) == ("Offline TEST01", State.INVALID)


def test_tests_that_passed_are_repeated_for_the_new_performance_run(executor: Recorded) -> None:
    executor.ratios["Offline TEST04"] = [0.7]
    assert run(executor).plan.complete
    counts = {name: executor.ran.count(f"Offline {name}") for name in ("accuracy", "performance", "TEST01", "TEST04")}
    assert counts == {"accuracy": 1, "performance": 2, "TEST01": 2, "TEST04": 2}


def test_other_answers_are_no_reason_for_a_repetition(executor: Recorded) -> None:
    executor.ratios["Offline TEST01"] = [1.0] * 9
    assert not run(executor).plan.complete
    assert executor.ran.count("Offline TEST01") == 1


def test_only_the_runs_that_are_asked_for_are_run(executor: Recorded) -> None:
    names = {each.name.split(" ", 2)[2]: each.name for each in executor.planner.plan().runs}
    run(executor, only=[names["Offline performance"], names["Offline TEST01"]])
    assert executor.ran == ["Offline performance"]
    run(executor, only=[names["Offline accuracy"]])
    executor.ratios["Offline TEST01"] = [0.7]
    run(executor, only=[names["Offline TEST01"]])
    assert executor.ran[2:] == ["Offline TEST01", "Offline performance", "Offline TEST01"]


def test_a_run_that_another_process_is_at_is_left_to_it_and_found_finished(executor: Recorded) -> None:
    plan = executor.planner.plan()
    first, results = plan.runs[0], plan.campaign.results
    taken, over = threading.Event(), threading.Event()

    def other() -> None:
        with turns.of_run(results, first.name):
            taken.set()
            over.wait(60)
            finish(first, executor.planner)

    elsewhere = threading.Thread(target=other)
    elsewhere.start()
    assert taken.wait(60)
    executor.after = lambda: over.set() if len(executor.ran) == _WITHOUT_IT else None
    outcome = run(executor)
    elsewhere.join()
    assert outcome.plan.complete
    assert first.name.split(" ", 2)[2] not in executor.ran
