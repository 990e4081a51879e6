"""A container's end as the host tells it: the result, or one error with its exit code, remedy and log."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.contract.events import ErrorEvent, Event, NoticeEvent, Phase, PhaseEvent, ResultEvent
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.places import DEBUG_VARIABLE
from mlperf_docker.engine.engine import Message
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.errors import ContainerError, Interrupted, MlperfDockerError
from mlperf_docker.runs.runner import execute, on_host
from mlperf_docker.runtimes.docker import DockerRuntime
from tests.fakes.container_engine import ContainerEngine, died, killed, out_of_memory
from tests.fakes.engine import FakeDisplay

PLAN = RunPlan(
    image="i",
    arguments=("run",),
    mounts=(
        BindMount(Path("/home/me/image net"), "/data", read_only=True),
        BindMount(Path("/srv/data/models"), "/models", read_only=True),
    ),
    surroundings=ContainerUser("1:1"),
    limits=Limits(memory="2g"),
)
SIGKILL = 128 + signal.SIGKILL


def ended(
    folder: Path, ending: list[Message], *lines: Event | str, errors: str = "", plan: RunPlan = PLAN
) -> MlperfDockerError:
    """The error of a container that printed *lines* and ended as *ending* says, and has the log's path."""
    engine = ContainerEngine(lines=lines, errors=errors, ending=ending)
    with pytest.raises(MlperfDockerError) as caught:
        execute(DockerRuntime(engine), plan, folder / "log", FakeDisplay())
    assert caught.value.log == folder / "log"
    return caught.value


def test_a_result_is_returned_and_everything_is_in_the_log(tmp_path: Path) -> None:
    lines = (PhaseEvent(Phase.LOADGEN, 1.0), NoticeEvent("a notice"), "chatter", ResultEvent({"valid": True}))
    engine = ContainerEngine(lines=lines, errors="a warning\nanother", ending=died(0))
    display = FakeDisplay()
    assert execute(DockerRuntime(engine), PLAN, tmp_path / "log", display) == {"valid": True}
    assert (display.phases, display.said) == (["loadgen"], ["a notice"])
    kept = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(text)["event"] for text in kept if text.startswith("{")] == ["phase", "notice", "result"]
    assert {"chatter", "a warning", "another"} <= set(kept)


def test_with_the_debug_switch_what_is_no_event_is_shown(tmp_path: Path) -> None:
    engine = ContainerEngine(lines=("chatter", ResultEvent({})), errors="Traceback", ending=died(0))
    display = FakeDisplay()
    execute(DockerRuntime(engine), replace(PLAN, environment=((DEBUG_VARIABLE, "1"),)), tmp_path / "log", display)
    assert sorted(display.said) == ["Traceback", "chatter"]


def test_a_result_counts_whatever_the_exit_code(tmp_path: Path) -> None:
    engine = ContainerEngine(lines=(ResultEvent({"valid": False}),), ending=died(1))
    assert execute(DockerRuntime(engine), PLAN, tmp_path / "log", FakeDisplay()) == {"valid": False}


@pytest.mark.parametrize(
    "code",
    [ExitCode.USAGE, ExitCode.DATASET, ExitCode.MODEL_FILE, ExitCode.DEVICE, ExitCode.CONTAINER, ExitCode.INTERRUPTED],
)
def test_an_error_of_the_harness_keeps_its_exit_code_and_gets_the_hosts_paths(tmp_path: Path, code: ExitCode) -> None:
    said = ErrorEvent(int(code), "/data/a.jpg is damaged", hint="See /models/m.onnx", details=("/data/b.jpg, too",))
    error = ended(tmp_path, died(int(code)), said)
    assert error.exit_code == code
    assert str(error) == "/home/me/image net/a.jpg is damaged\n  /home/me/image net/b.jpg, too"
    assert error.hint == "See /srv/data/models/m.onnx"


def test_an_exit_code_that_no_error_of_the_harness_has_is_the_containers_fault(tmp_path: Path) -> None:
    assert ended(tmp_path, died(77), ErrorEvent(77, "odd")).exit_code == ExitCode.CONTAINER


@pytest.mark.parametrize("before", [(), (ErrorEvent(9, "a worker died"),)])
def test_out_of_memory_comes_before_what_the_harness_made_of_it(tmp_path: Path, before: tuple[Event, ...]) -> None:
    error = ended(tmp_path, died(SIGKILL, out_of_memory()), *before)
    assert error.exit_code == ExitCode.CONTAINER
    assert "ran out of memory: the limit of 2g was reached" in str(error)
    assert "--memory" in (error.hint or "")


def test_out_of_memory_without_a_limit_names_the_hosts_memory(tmp_path: Path) -> None:
    plan = RunPlan("i", ("preprocess",), (), ContainerUser("1:1"))
    error = ended(tmp_path, died(SIGKILL, out_of_memory()), plan=plan)
    assert "the host's memory was reached" in str(error)
    assert "--batch-size" not in (error.hint or ""), "an option of run alone"


def test_a_kill_from_outside_names_its_signal(tmp_path: Path) -> None:
    error = ended(tmp_path, died(SIGKILL, killed(9)))
    assert str(error) == "The container was killed from outside (signal 9)."
    assert "Run the same command again" in (error.hint or "")


def test_a_kill_that_the_engine_does_not_explain_may_be_memory(tmp_path: Path) -> None:
    error = ended(tmp_path, died(SIGKILL))
    assert "killed from outside (signal 9), or the limit of 2g was reached (OOM)" in str(error)


def test_a_death_without_a_word_shows_the_last_lines(tmp_path: Path) -> None:
    error = ended(tmp_path, died(139), errors="".join(f"line {number}\n" for number in range(40)))
    assert type(error) is ContainerError
    first, *shown = str(error).splitlines()
    assert first == "The container died with exit code 139. Its last lines:"
    assert shown == [f"line {number}" for number in range(28, 40)]
    assert "(it printed nothing)" in str(ended(tmp_path, died(1)))


def test_events_that_break_off_are_an_engine_that_went_away(tmp_path: Path) -> None:
    engine = ContainerEngine(ending=[])
    with pytest.raises(ContainerError, match="The engine went away while the container ran"):
        execute(DockerRuntime(engine), PLAN, tmp_path / "log", FakeDisplay())


def test_ctrl_c_stops_the_container_and_names_the_log(tmp_path: Path) -> None:
    class Interrupting(FakeDisplay):
        def phase(self, name: str) -> None:
            raise KeyboardInterrupt

    engine = ContainerEngine(lines=(PhaseEvent(Phase.LOADGEN, 1.0),), ending=died(130))
    with pytest.raises(Interrupted) as caught:
        execute(DockerRuntime(engine), PLAN, tmp_path / "log", Interrupting())
    assert caught.value.log == tmp_path / "log"
    assert len(engine.stopped) == 1


def test_a_full_disk_ends_the_log_and_not_the_run() -> None:
    display = FakeDisplay()
    engine = ContainerEngine(lines=("chatter", "more", ResultEvent({"valid": True})), ending=died(0))
    assert execute(DockerRuntime(engine), PLAN, Path("/dev/full"), display) == {"valid": True}
    assert display.said == ["The log /dev/full ends here: no space left on device."]


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("3 images are missing in /data", "3 images are missing in /home/me/image net"),
        ("/models/m.onnx: truncated", "/srv/data/models/m.onnx: truncated"),
        ("'/data/val_map.txt', line 2", "'/home/me/image net/val_map.txt', line 2"),
        ("/database /data-old a/data /dev/data stay", "/database /data-old a/data /dev/data stay"),
    ],
)
def test_folders_are_told_by_the_names_that_the_user_knows(inside: str, outside: str) -> None:
    assert on_host(inside, PLAN) == outside
