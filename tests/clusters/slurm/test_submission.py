"""Submission to a real Slurm: arrays, their order, the record; what is queued is not submitted again."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State
from mlperf_docker.campaigns.slurm import SlurmSettings, of_words
from mlperf_docker.clusters.slurm import record, status
from mlperf_docker.clusters.slurm.queue import submit as submit_script
from mlperf_docker.clusters.slurm.submission import JobLine, cancel, submit
from mlperf_docker.errors import ClusterError, UsageError
from mlperf_docker.system import atomic
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, named, planned, plans
from tests.fixtures.slurm import Slurm
from tests.tries import in_time

FOUR = "- {model: resnet50, scenarios: [Offline]}"
MANY = 200
_PATIENCE_S = 60.0


@pytest.fixture
def plan(tmp_path: Path) -> CampaignPlan:
    """Accuracy and performance, and two tests that need them."""
    return planned(campaign(tmp_path, FOUR, f"{HEAD}options: {{synthetic: tiny}}\n"))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[JobLine]:
    """A command that goes on until the file `go` is there, and says what it was."""
    tool = tmp_path / "tool"
    tool.write_text(
        f"#!/bin/bash\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n"
        f'echo "$(printf "%s|" "$@")" >>{tmp_path}/ran\n'  # at once, as other jobs write there, too
    )
    tool.chmod(0o755)
    yield JobLine((str(tool),))
    (tmp_path / "go").touch()


def given(plan: CampaignPlan, line: JobLine, *words: str) -> CampaignPlan:
    return submit(plan, line, of_words(words)[0], lambda _: None)


def states(plan: CampaignPlan) -> list[State]:
    return [run.state for run in plan.runs]


def wait_until(plan: CampaignPlan, verdict: Callable[[CampaignPlan], bool]) -> CampaignPlan:
    deadline = time.monotonic() + _PATIENCE_S
    while not verdict(seen := status.seen(plan)):
        assert time.monotonic() < deadline, [(run.state, run.why) for run in seen.runs]
        time.sleep(0.2)
    return seen


def wait_for(plan: CampaignPlan, *wanted: State) -> CampaignPlan:
    return wait_until(plan, lambda seen: set(states(seen)) == set(wanted))


def in_path(folder: Path, monkeypatch: pytest.MonkeyPatch, *commands: str) -> None:
    """Leave these of Slurm's commands in the PATH alone."""
    (folder / "bin").mkdir()
    for command in commands:
        (folder / "bin" / command).symlink_to(shutil.which(command) or command)
    monkeypatch.setenv("PATH", str(folder / "bin"))


def test_runs_are_submitted_as_arrays_in_waves(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    seen = given(plan, line)
    assert states(seen) == [State.QUEUED] * 4
    (made,) = record.read(plan.campaign.path)
    first, second = made.arrays
    assert [len(first.runs), len(second.runs)] == [2, 2]
    shown = on_slurm.ask("scontrol", "show", "job", str(second.job))
    assert f"Dependency=afterany:{first.job}_*" in shown
    assert str(made.script(second)) in shown
    seen = wait_for(plan, State.RUNNING, State.QUEUED)
    assert {run.job.node for run in seen.runs if run.job and run.state is State.RUNNING} == set(on_slurm.nodes)
    in_words = [(f"job {second.job}_{task}: Dependency",) for task in range(2)]
    wait_until(plan, lambda seen: [run.why for run in seen.runs[2:]] == in_words)  # Slurm says `Resources` for a moment


def test_a_job_runs_the_command_of_its_run(plan: CampaignPlan, line: JobLine, on_slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    given(plan, replace(line, options=("--bootstrap-base",)))
    wait_for(plan, State.MISSING, State.WAITING)
    ran = {tuple(each.split("|")[:-1]) for each in (tmp_path / "ran").read_text().splitlines()}
    assert ran == {(str(plan.campaign.path), "--bootstrap-base", "--only", run.name) for run in plan.runs}


def test_a_queued_run_is_not_submitted_again(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    given(plan.only([plan.runs[0].name]), line)
    given(plan, line)
    assert states(given(plan, line)) == [State.QUEUED] * 4 or State.RUNNING in states(status.seen(plan))
    runs = [name for each in record.read(plan.campaign.path) for array in each.arrays for name in array.runs]
    assert sorted(runs) == sorted(run.name for run in plan.runs)
    tests = record.read(plan.campaign.path)[1].arrays[-1]
    both = {str(each.job) for made in record.read(plan.campaign.path) for each in made.arrays if each != tests}
    shown = on_slurm.ask("scontrol", "show", "job", str(tests.job))
    assert all(f"afterany:{job}_*" in shown for job in both)


def test_an_array_whose_number_was_not_written_is_found(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    """As after a kill between sbatch and the record."""
    given(plan, line)
    (made,) = record.read(plan.campaign.path)
    path = made.folder / record.FILE
    fields = json.loads(path.read_text())
    for array in fields["arrays"]:
        array["job"] = None
    atomic.write_text(path, json.dumps(fields))
    seen = given(plan, line)
    assert [run.job.id for run in seen.runs if run.job] == [f"{each.job}_{n}" for each in made.arrays for n in range(2)]
    assert len(record.read(plan.campaign.path)) == 1


def test_an_array_that_sbatch_never_got_is_submitted(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    made = record.new(plan.campaign.path)
    made.holding(record.SubmittedArray(script="1.sh", runs=tuple(run.name for run in plan.runs)))
    assert states(status.seen(plan)) == states(plan)
    given(plan, line)
    assert State.MISSING not in states(status.seen(plan))


def test_cancelled_jobs_tell_so_and_are_submitted_again(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    given(plan, line)
    wait_for(plan, State.RUNNING, State.QUEUED)
    assert len(cancel(plan.campaign.path)) == 4
    seen = wait_for(plan, State.FAILED, State.WAITING)
    assert [run.why[0].rpartition(": ")[2] for run in seen.runs[:2]] == ["CANCELLED"] * 2
    assert cancel(plan.campaign.path) == ()
    given(plan, line)
    wait_for(plan, State.RUNNING, State.QUEUED)


@pytest.mark.skipif(not os.environ.get("MLPERF_TEST_LONG"), reason="takes half a minute or more")
def test_a_job_at_its_time_limit_tells_so(plan: CampaignPlan, line: JobLine, on_slurm: Slurm) -> None:
    """Slurm counts in minutes, so the warning, which is to come one before the end, comes at once."""
    given(plan.only([plan.runs[0].name]), line, "time=1")
    run = wait_for(plan.only([plan.runs[0].name]), State.FAILED).runs[0]
    assert run.why[0].endswith(": TIMEOUT")


def test_a_finished_run_is_not_submitted(tmp_path: Path, line: JobLine, on_slurm: Slurm) -> None:
    maker = plans(campaign(tmp_path, FOUR, f"{HEAD}options: {{synthetic: tiny}}\n"))
    finish(named(maker.plan(), "Offline accuracy"), maker)
    given(maker.plan(), line)
    names = [name for each in record.read(maker.campaign.path) for array in each.arrays for name in array.runs]
    assert len(names) == 3
    assert not any("accuracy" in name for name in names)


def many(plan: CampaignPlan) -> CampaignPlan:
    """A plan of 200 runs, as of 50 models."""

    def of(model: str, run: PlannedRun) -> PlannedRun:
        spec = run.cell.spec
        renamed = spec.model_copy(update={"model": spec.model.model_copy(update={"name": model})})
        needs = tuple(name.replace("resnet50", model) for name in run.needs)
        return replace(run, cell=replace(run.cell, spec=renamed), needs=needs)

    models = [f"resnet{number}" for number in range(MANY // len(plan.runs))]
    return replace(plan, runs=tuple(of(model, run) for model in models for run in plan.runs))


def test_two_hundred_runs_take_seconds_and_two_calls_of_sbatch(
    plan: CampaignPlan, line: JobLine, on_slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    counting = tmp_path / "bin" / "sbatch"
    counting.write_text(f'#!/bin/bash\necho >>{tmp_path}/calls\nexec {shutil.which("sbatch")} "$@"\n')
    counting.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    whole = many(plan)
    assert len({run.name for run in whole.runs}) == MANY

    def timed() -> float:
        (tmp_path / "calls").unlink(missing_ok=True)
        start = time.monotonic()
        seen = given(whole, line, "hold")
        took_s = time.monotonic() - start
        assert states(seen) == [State.QUEUED] * MANY
        assert len((tmp_path / "calls").read_text().splitlines()) == 2
        cancel(plan.campaign.path)
        shutil.rmtree(plan.campaign.path.parent / record.FOLDER)
        return took_s

    assert in_time(timed, lambda took_s: took_s <= 5) <= 5


@pytest.mark.parametrize(
    ("word", "told"),
    [("partition=nowhere", "invalid partition specified: nowhere"), ("no-such-option=1", "unrecognized option")],
)
def test_an_option_that_sbatch_refuses_is_told_in_its_words(
    word: str, told: str, plan: CampaignPlan, line: JobLine, on_slurm: Slurm
) -> None:
    with pytest.raises(UsageError) as caught:
        given(plan, line, word)
    assert told in str(caught.value)
    assert "1.sh" in str(caught.value)
    assert "--sbatch" in (caught.value.hint or "")
    assert [each.arrays for each in record.read(plan.campaign.path)] == [()]


def test_a_name_with_a_line_end_is_no_line_of_a_script(tmp_path: Path, line: JobLine) -> None:
    (tmp_path / "a\nb").mkdir()
    odd = planned(campaign(tmp_path / "a\nb", FOUR, f"{HEAD}options: {{synthetic: tiny}}\n"))
    with pytest.raises(UsageError, match="control characters"):
        given(odd, line)


def test_sbatch_alone_is_enough_to_submit(
    plan: CampaignPlan, line: JobLine, on_slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()
    with monkeypatch.context() as patched:
        in_path(tmp_path, patched, "sbatch")
        assert states(submit(plan, line, SlurmSettings(), said.append)) == [State.QUEUED] * 4
    assert "no squeue" in said[0]
    assert State.MISSING not in states(status.seen(plan))


def test_a_controller_that_does_not_answer_is_told_beside_the_results(
    plan: CampaignPlan, line: JobLine, on_slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(plan, line)
    (made,) = record.read(plan.campaign.path)
    nobody = Path(tmp_path / "slurm.conf")
    nobody.write_text(on_slurm.configuration.read_text().replace(f"SlurmctldPort={on_slurm.port}", "SlurmctldPort=9"))
    monkeypatch.setenv("SLURM_CONF", str(nobody))
    said = list[str]()
    assert states(status.seen_if_it_answers(plan, said.append)) == states(plan)
    assert "Slurm does not answer" in said[0]
    with pytest.raises(ClusterError, match="Slurm does not answer"):
        submit_script(made.script(made.arrays[0]))
    monkeypatch.setenv("SLURM_CONF", str(on_slurm.configuration))
