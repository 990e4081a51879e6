"""BuildKit's messages, as a Docker Engine 20.10.24 sent them for three small builds, become events."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind
from mlperf_docker.images.building.trace import TRACE_ID, Trace
from tests.fakes import engine as fake

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("recorded_builds.json").read_text())
PRINTING = r"[3/3] RUN printf 'first\nsecond \303' ; sleep 0.3 ; printf '\244nd\n10%%\r100%%\nno newline'"
FAILING = "[4/4] RUN echo seen; echo 'E: cannot' >&2; exit 7"


def events(build: str) -> list[BuildEvent]:
    trace = Trace()
    auxes = (message["aux"] for message in RECORDED[build] if message.get("id") == TRACE_ID)
    return [event for aux in auxes for event in trace.feed(aux)]


def kinds(build: str, step: str) -> list[BuildEventKind]:
    return [event.kind for event in events(build) if event.step == step]


def aux(**parts: Any) -> str:
    return str(fake.trace(**parts)["aux"])


def test_a_step_starts_prints_and_ends_once() -> None:
    assert kinds("built", PRINTING) == ["started", "log", "log", "log", "log", "done"]


def test_output_is_cut_into_lines_and_a_character_cut_in_two_is_joined() -> None:
    lines = [event.text for event in events("built") if event.kind is BuildEventKind.LOG]
    assert lines == ["first", "second änd", "100%", "no newline"]


def test_a_line_of_one_stream_is_not_cut_by_the_others() -> None:
    step = {"digest": "sha256:1", "name": "step", "started": {"seconds": 1}}
    pieces = [(2, b"at http://me:hun"), (1, b"Reading"), (2, b"ter2@host\n"), (1, b" lists\nlast"), (2, b"end")]
    trace = Trace()
    told = list(trace.feed(aux(vertexes=[step])))
    for stream, text in pieces:
        told += trace.feed(aux(logs=[{"vertex": "sha256:1", "stream": stream, "msg": text}]))
    told += trace.feed(aux(vertexes=[{**step, "completed": {"seconds": 2}}]))
    lines = [event.text for event in told if event.kind is BuildEventKind.LOG]
    assert lines == ["at http://me:hunter2@host", "Reading lists", "last", "end"]


def test_a_steps_time_is_its_own() -> None:
    (seconds,) = (e.seconds for e in events("built") if e.step == PRINTING and e.kind is BuildEventKind.DONE)
    assert 0.3 < seconds < 5


def test_a_cached_step_neither_starts_nor_ends() -> None:
    step = PRINTING
    assert kinds("cached", step) == ["cached"]
    assert not [event for event in events("cached") if event.kind is BuildEventKind.LOG]


def test_a_failing_step_tells_its_last_lines_and_then_why() -> None:
    told = [(event.kind, event.text) for event in events("failed") if event.step == FAILING]
    assert told[:3] == [("started", ""), ("log", "seen"), ("log", "E: cannot")]
    (kind, reason), rest = told[3], told[4:]
    assert kind is BuildEventKind.FAILED
    assert reason.endswith("exit code: 7")
    assert not rest


@pytest.mark.parametrize("build", RECORDED)
def test_every_step_that_starts_ends_and_no_two_events_are_the_same(build: str) -> None:
    told = events(build)
    started = {event.step for event in told if event.kind is BuildEventKind.STARTED}
    ended = {event.step for event in told if event.kind in {BuildEventKind.DONE, BuildEventKind.FAILED}}
    assert started == ended
    assert all(before != after for before, after in pairwise(told))


def test_repeated_states_of_a_step_are_told_once() -> None:
    vertex = {"digest": "sha256:1", "name": "RUN x", "started": {"seconds": 5}}
    trace = Trace()
    assert [event.kind for event in trace.feed(aux(vertexes=[vertex]))] == ["started"]
    assert list(trace.feed(aux(vertexes=[vertex]))) == []
    done = {**vertex, "completed": {"seconds": 7, "nanos": 500_000_000}}
    (event,) = trace.feed(aux(vertexes=[done]))
    assert (event.kind, event.seconds) == ("done", 2.5)
    assert list(trace.feed(aux(vertexes=[done]))) == []


def test_transfers_name_their_step_and_count() -> None:
    trace = Trace()
    list(trace.feed(aux(vertexes=[{"digest": "sha256:1", "name": "FROM x"}])))
    status = {"ID": "layer", "vertex": "sha256:1", "current": 3, "total": 9}
    (event,) = trace.feed(aux(statuses=[status, {"ID": "nothing yet", "vertex": "sha256:1"}]))
    assert event == BuildEvent(BuildEventKind.PROGRESS, "FROM x", "layer", 3, 9)
