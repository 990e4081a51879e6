"""Words, exit codes and events that host and harness spell each by itself, compared."""

import inspect
import io
import json
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import pytest

from mlperf_docker import errors
from mlperf_docker.contract import events, exit_codes, words
from mlperf_docker.engine.plan import ContainerUser, RunPlan
from mlperf_docker.harness.api import errors as harness_errors
from mlperf_docker.harness.api import events as harness_events
from mlperf_docker.harness.api import names as harness_names
from mlperf_docker.harness.api.names import Phase
from mlperf_docker.harness.system.signals import Terminated
from mlperf_docker.runs import runner

OF_ONE_SIDE = {"CRASH": "CONTAINER"}
"""Exit codes of the harness with another name on the host."""

BEFORE_THE_HARNESS = {"ENGINE", "BASE_IMAGE", "BUILD", "REGISTRY", "INTERNAL"}
"""Exit codes that only the host has: what fails where no harness runs."""


def values(kind: type[Enum]) -> dict[str, object]:
    return {word.name: word.value for word in kind}


@pytest.mark.parametrize("name", ["Scenario", "Mode", "SyntheticSize"])
def test_both_have_the_same_words(name: str) -> None:
    assert values(getattr(words, name)) == values(getattr(harness_names, name))


def test_no_other_words_have_the_same_name() -> None:
    both = {name for name, word in vars(words).items() if inspect.isclass(word) and issubclass(word, Enum)}
    assert {name for name in both if hasattr(harness_names, name)} == {
        *("StrEnum", "Scenario", "Mode", "SyntheticSize")
    }


def test_exit_codes_mean_the_same_on_both_sides() -> None:
    of_harness = {OF_ONE_SIDE.get(name, name): code for name, code in values(harness_errors.ExitCode).items()}
    of_host = values(exit_codes.ExitCode)
    assert of_harness == {name: code for name, code in of_host.items() if name not in BEFORE_THE_HARNESS}
    assert of_host.keys() >= BEFORE_THE_HARNESS


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
    error: harness_errors.HarnessError, kind: type[errors.MlperfDockerError]
) -> None:
    event = told(lambda to: to.error(error))
    assert isinstance(event, events.ErrorEvent)
    raised = runner._harness_error(event, RunPlan("image", (), (), ContainerUser("1:1")), Path("log"))
    assert type(raised) is kind
    assert raised.exit_code == int(error.exit_code)
    assert (str(raised), raised.hint) == ("\n  ".join((str(error), *error.details)), error.hint)


def test_every_exit_code_with_an_error_has_one_above() -> None:
    codes = {int(error.exit_code) for error, _ in HARNESS_ERRORS}
    assert codes == set(harness_errors.ExitCode) - {harness_errors.ExitCode.VALID, harness_errors.ExitCode.INVALID}


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
    harness_events.Events(stream).emit("result", {"valid": True, "metric": None})
    event = events.parse(stream.getvalue())
    assert isinstance(event, events.ResultEvent)
    assert event.fields == {"valid": True, "metric": None}


def test_every_event_of_either_side_is_above() -> None:
    written = {"result", *re.findall(r'self\.emit\("(\w+)"', inspect.getsource(harness_events.Events))}
    assert written == events.KINDS.keys() == {"result", *(name.partition(" ")[0] for name in EVENTS)}
