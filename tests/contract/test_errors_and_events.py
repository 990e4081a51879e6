"""Errors and events of the harness, as the host reads them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker import errors
from mlperf_docker.contract import events, places
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.plan import ContainerUser, RunPlan
from mlperf_docker.harness.__main__ import crash
from mlperf_docker.harness.api import errors as harness_errors
from mlperf_docker.harness.api import events as harness_events
from mlperf_docker.harness.system.signals import Terminated
from mlperf_docker.runs import runner
from mlperf_docker.runtimes.docker import DockerRuntime
from tests.fakes.container_engine import ContainerEngine, died
from tests.fakes.engine import FakeDisplay

BEFORE_THE_HARNESS = {
    ExitCode.ENGINE,
    ExitCode.BASE_IMAGE,
    ExitCode.BUILD,
    ExitCode.REGISTRY,
    ExitCode.INTERNAL,
}
"""Exit codes that only the host has: what fails where no harness runs."""

HARNESS_ERRORS = [
    (harness_errors.UsageError("m", hint="h", details=["d"]), errors.UsageError),
    (harness_errors.DatasetError("m"), errors.DatasetError),
    (harness_errors.ModelFileError("m"), errors.ModelFileError),
    (harness_errors.DeviceError("m"), errors.DeviceError),
    (harness_errors.DeviceMemoryError("m"), errors.DeviceError),
    (harness_errors.SampleError("m"), errors.ContainerError),
    (harness_errors.HarnessError("m"), errors.ContainerError),
    (Terminated("m"), errors.Interrupted),
]


@pytest.mark.parametrize(("error", "kind"), HARNESS_ERRORS, ids=[type(error).__name__ for error, _ in HARNESS_ERRORS])
def test_an_error_of_the_harness_becomes_the_hosts_of_its_kind(
    error: harness_errors.HarnessError, kind: type[errors.MlperfDockerError], tmp_path: Path
) -> None:
    event = told(lambda to: to.error(error))
    assert isinstance(event, events.ErrorEvent)
    engine = ContainerEngine(lines=(event,), ending=died(int(error.exit_code)))
    plan = RunPlan("image", (), (), ContainerUser("1:1"))
    with pytest.raises(errors.MlperfDockerError) as caught:
        runner.execute(DockerRuntime(engine), plan, tmp_path / "log", FakeDisplay())
    raised = caught.value
    assert type(raised) is kind
    assert raised.exit_code == int(error.exit_code)
    assert (str(raised), raised.hint) == ("\n  ".join((str(error), *error.details)), error.hint)


def test_every_exit_code_with_an_error_has_one_above() -> None:
    codes = {int(error.exit_code) for error, _ in HARNESS_ERRORS}
    assert codes == set(ExitCode) - BEFORE_THE_HARNESS - {ExitCode.VALID, ExitCode.INVALID}


def test_an_unforeseen_error_says_how_to_see_where_it_happened() -> None:
    error = crash(ZeroDivisionError("nothing"))
    assert error.exit_code is ExitCode.CONTAINER
    assert "mlperf-docker --debug" in (error.hint or "")
    assert f"{places.DEBUG_VARIABLE}=1" in (error.hint or "")


def told(write: Callable[[harness_events.Events], None]) -> events.Event:
    """The event that the host reads where the harness *write*s it; it knows each of its fields, and has no other."""
    stream = io.StringIO()
    write(harness_events.Events(stream))
    (line,) = stream.getvalue().splitlines()
    event = events.parse(line)
    assert event is not None, line
    assert json.loads(line) == json.loads(events.line(event))
    return event


EVENTS: dict[str, tuple[Callable[[harness_events.Events], None], type]] = {
    "phase": (lambda to: to.phase(Phase.LOADGEN), events.PhaseEvent),
    "progress": (lambda to: to.progress(Phase.LOADGEN, 3, 9, "samples"), events.ProgressEvent),
    "progress of unknown length": (lambda to: to.progress(Phase.LOADGEN, 3, None, "samples"), events.ProgressEvent),
    "notice": (lambda to: to.notice("text"), events.NoticeEvent),
    "error": (lambda to: to.error(harness_errors.DatasetError("m", hint="h", details=["d"])), events.ErrorEvent),
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_read_as_it_was_written(name: str) -> None:
    write, kind = EVENTS[name]
    assert type(told(write)) is kind


def test_the_values_of_an_event_arrive() -> None:
    progress = told(lambda to: to.progress(Phase.PREPROCESS, 3, 9, "images"))
    assert isinstance(progress, events.ProgressEvent)
    assert (progress.phase, progress.done, progress.total, progress.unit) == ("preprocess", 3, 9, "images")
    failure = told(lambda to: to.error(harness_errors.DatasetError("m", hint="h", details=["d"])))
    assert isinstance(failure, events.ErrorEvent)
    assert (failure.exit_code, failure.message, failure.hint, failure.details) == (6, "m", "h", ("d",))


def test_a_result_arrives_whole() -> None:
    stream = io.StringIO()
    harness_events.Events(stream).result({"valid": True, "metric": None})
    event = events.parse(stream.getvalue())
    assert isinstance(event, events.ResultEvent)
    assert event.fields == {"valid": True, "metric": None}
