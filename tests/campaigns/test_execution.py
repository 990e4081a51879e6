"""Execution of a plan: everything that is missing, once, in order; and what becomes of failures."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlperf_docker.campaigns import execution
from mlperf_docker.campaigns.plan import PlannedRun, Planner, State
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import ContainerError, EngineError, MlperfDockerError, UsageError
from mlperf_docker.results.values import RunResult
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, plans
from tests.fakes.engine import FakeDisplay

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"


@dataclass
class Recorded:
    """Executor that writes the results which runs would have, or fails as it is told."""

    planner: Planner
    fails: dict[str, MlperfDockerError] = field(default_factory=dict)
    invalid: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)

    def execute(self, run: PlannedRun, display: Display) -> RunResult:
        short = run.name.split(" ", 2)[2]
        self.ran.append(short)
        display.phase("loadgen")
        if short in self.fails:
            raise self.fails[short]
        return finish(run, self.planner, valid=short not in self.invalid)


@pytest.fixture
def executor(tmp_path: Path) -> Recorded:
    return Recorded(plans(campaign(tmp_path, "- model: resnet50", TINY)))


def run(executor: Recorded, *, go_on: bool = True) -> execution.Outcome:
    return execution.execute(executor.planner.plan, executor, FakeDisplay(), go_on=go_on)


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


def test_a_second_campaign_in_the_same_results_folder_is_refused(tmp_path: Path) -> None:
    results, said = tmp_path / "results", list[str]()
    with execution.alone(results, said.append):
        assert results.is_dir()
        with pytest.raises(UsageError, match="A campaign is running") as caught, execution.alone(results, said.append):
            pass
    assert "campaign status" in (caught.value.hint or "")
    with execution.alone(results, said.append):
        assert said == []
