"""Small builds on the real engine, without any network: events, cache, tags, logs, failures, Ctrl-C."""

import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import BuildError
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.images.known_bases import Base
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fixtures.engine import MARK, TEST_LABEL, tags

pytestmark = pytest.mark.engine
FIRST, SECOND = f"{MARK}/small:exact", f"{MARK}/small:moving"
LABELS = {"org.mlperf-docker": "image", "org.mlperf-docker.cell": "small", TEST_LABEL: MARK}
CACHED_AT_MOST_S = 3.0  # loosely: the figure itself is for `make bench`


def request(base: Base, *steps: str, no_cache: bool = False) -> BuildRequest:
    """Return a build of *steps* after a COPY; the text is new to every session, so that nothing is cached before."""
    lines = ("ARG BASE", "FROM ${BASE} AS small", f"ENV SESSION={MARK}", "COPY harness /harness", *steps)
    return BuildRequest(
        inputs=BuildInputs("\n".join(lines) + "\n", (ContextFile("harness/a.sh", b"echo ran\n", 0o755),)),
        base_reference=base.reference,
        tags=(FIRST, SECOND),
        labels=LABELS,
        host=HostSettings(),
        no_cache=no_cache,
    )


@dataclasses.dataclass
class Heard:
    """The events of a build, and when each came."""

    events: list[BuildEvent] = dataclasses.field(default_factory=list)
    times: list[float] = dataclasses.field(default_factory=list)

    def __call__(self, event: BuildEvent) -> None:
        self.events.append(event)
        self.times.append(time.monotonic())

    def kinds(self, step: str) -> list[str]:
        return [event.kind.value for event in self.events if step in event.step]

    def time_of(self, text: str) -> float:
        return next(at for event, at in zip(self.events, self.times, strict=True) if event.text == text)


def is_running(mark: str) -> bool:
    """Tell whether a process of this host, a container's among them, has *mark* in its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                return True
        except OSError:
            continue
    return False


def comes_true(condition: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Return whether *condition* holds within *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_events_come_live_and_in_order(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    heard = Heard()
    step = "RUN echo one; sleep 1; echo two"
    built = BuildKitBuilder(clean).build(request(base_image, step), on_event=heard)
    assert heard.kinds(step) == ["started", "log", "log", "done"]
    assert heard.time_of("two") - heard.time_of("one") > 0.5
    (done,) = (event for event in heard.events if step in event.step and event.kind is BuildEventKind.DONE)
    assert 1.0 <= done.seconds < 10
    found = images.find(clean, FIRST)
    assert found is not None
    assert found.id == built
    assert set(found.tags) >= {FIRST, SECOND}
    assert LABELS.items() <= found.labels.items()


def test_the_log_is_complete(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    BuildKitBuilder(clean).build(
        request(base_image, "RUN for i in $(seq 500); do echo line $i; done; echo words >&2; sh /harness/a.sh"),
        on_event=lambda _event: None,
    )
    (log,) = logs.iterdir()
    lines = log.read_text().splitlines()
    assert [line for line in lines if line.startswith("line ")] == [f"line {number}" for number in range(1, 501)]
    assert {"words", "ran"} <= set(lines)
    assert any(line.startswith("== done in ") and "RUN for i" in line for line in lines)


def test_the_second_time_everything_is_cached(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    builder, wanted = BuildKitBuilder(clean), request(base_image, "RUN sleep 0.2; echo cached step")
    first = builder.build(wanted, on_event=lambda _event: None)
    times = []
    for _ in range(3):
        heard, start = Heard(), time.monotonic()
        assert builder.build(wanted, on_event=heard) == first
        times.append(time.monotonic() - start)
        assert heard.kinds("RUN sleep") == ["cached"]
        assert heard.kinds("COPY harness") == ["cached"]
    assert statistics.median(times) < CACHED_AT_MOST_S


def test_without_cache_every_step_runs_again(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    builder, heard = BuildKitBuilder(clean), Heard()
    builder.build(request(base_image, "RUN echo again"), on_event=lambda _event: None)
    builder.build(request(base_image, "RUN echo again", no_cache=True), on_event=heard)
    assert heard.kinds("RUN echo again") == ["started", "log", "done"]


def test_a_failing_step_is_named_with_its_last_lines_and_the_log(
    clean: DockerEngine, base_image: Base, logs: Path
) -> None:
    step = "RUN echo before; sleep 0.3; for i in $(seq 40); do echo reason $i >&2; done; exit 7"
    with pytest.raises(BuildError) as caught:
        BuildKitBuilder(clean).build(request(base_image, step), on_event=lambda _event: None)
    error = caught.value
    assert error.exit_code is ExitCode.BUILD
    assert f"{step!r}"[1:-1] in str(error)
    assert "exit code: 7" in str(error)
    assert str(error).endswith("  reason 40")
    assert "reason 20\n" not in str(error)
    (log,) = logs.iterdir()
    assert error.log == log
    assert list(error.lines())[-1] == f"Log:   {log}"
    assert "before" in log.read_text().splitlines()
    assert tags(clean) == []


def test_a_dockerfile_that_does_not_parse(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    with pytest.raises(BuildError, match="unknown instruction: RUNN"):
        BuildKitBuilder(clean).build(request(base_image, "RUNN true"), on_event=lambda _event: None)
    assert tags(clean) == []


@pytest.mark.parametrize("while_it", ["prints", "is silent"])
def test_ctrl_c_ends_the_build_in_the_engine(clean: DockerEngine, base_image: Base, logs: Path, while_it: str) -> None:
    mark = f"ctrl-c-{uuid.uuid4().hex[:8]}"
    main = threading.get_ident()

    def interrupt() -> None:
        if comes_true(lambda: is_running(mark)):
            time.sleep(0.3)  # let it come while the tool reads
        signal.pthread_kill(main, signal.SIGINT)

    words = "echo word;" if while_it == "prints" else ""
    step = f"RUN sh -c 'for i in $(seq 600); do {words} sleep 0.1; done' {mark}"
    interrupting = threading.Thread(target=interrupt, daemon=True)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        BuildKitBuilder(clean).build(request(base_image, step), on_event=lambda _event: None)
    interrupting.join()
    assert comes_true(lambda: not is_running(mark)), "the step goes on after Ctrl-C"
    assert tags(clean) == []


def test_an_error_while_showing_an_event_ends_it_too(clean: DockerEngine, base_image: Base, logs: Path) -> None:
    mark = f"show-{uuid.uuid4().hex[:8]}"

    def break_at_the_first_word(event: BuildEvent) -> None:
        if event.text == "word":
            assert is_running(mark)
            raise OSError("the terminal is gone")

    step = f"RUN sh -c 'echo word; for i in $(seq 600); do sleep 0.1; done' {mark}"
    with pytest.raises(OSError, match="the terminal is gone"):
        BuildKitBuilder(clean).build(request(base_image, step), on_event=break_at_the_first_word)
    assert comes_true(lambda: not is_running(mark))
    assert tags(clean) == []


def test_a_killed_tool_ends_the_build_too(clean: DockerEngine, base_image: Base, tmp_path: Path) -> None:
    """SIGKILL the tool; the engine notices that nobody listens. The same build then works."""
    mark = f"sigkill-{uuid.uuid4().hex[:8]}"
    step = f"RUN sh -c 'for i in $(seq 600); do sleep 0.1; done' {mark}"
    wanted = request(base_image, step)
    assert not is_running(mark)
    script = (
        "from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile\n"
        "from mlperf_docker.images.building.buildkit import BuildKitBuilder\n"
        "from mlperf_docker.engine.client import connect\nfrom mlperf_docker.recipe.host_settings import HostSettings\n"
        "from mlperf_docker.images.building.builder import BuildRequest\n"
        f"BuildKitBuilder(connect()).build({wanted!r}, on_event=lambda _: None)\n"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    # The script goes in through stdin, so that the mark is on no command line but the step's own.
    with subprocess.Popen([sys.executable, "-"], env=environment, stdin=subprocess.PIPE, text=True) as tool:
        assert tool.stdin is not None
        tool.stdin.write(script)
        tool.stdin.close()
        started = comes_true(lambda: is_running(mark))
        os.kill(tool.pid, signal.SIGKILL)
    assert started
    assert comes_true(lambda: not is_running(mark)), "the step goes on after its tool is dead"
    assert tags(clean) == []
