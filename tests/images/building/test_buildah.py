"""Output of Podman for a build, recorded with Podman 4.3.1, as events. Needs no Podman."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from mlperf_docker.engine.engine import Message
from mlperf_docker.errors import BuildError
from mlperf_docker.images.building.buildah import BuildahBuilder, BuildahListener
from mlperf_docker.images.building.builder import BuildEvent, BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fakes.engine import FakeEngine

ID = "sha256:df698d7f060bbf7bac88352961406d7047050a3e75c48aa196b54ca4ef237a70"
FIRST, SECOND = "[1/2] STEP 2/2: RUN echo begun", "[2/2] STEP 2/2: LABEL x=y"
COMMIT = "[2/2] COMMIT localhost/x:1"
END: list[Message] = [{"stream": "Successfully tagged localhost/x:1\n"}, {"aux": {"ID": ID}}]
BUILT: list[Message] = [
    {"stream": "[1/2] STEP 1/2: FROM localhost/mlperf-docker/base:bookworm AS one\n"},
    {"stream": f"{FIRST}\n"},
    {"stream": "begun\na\rb\ngrö"},
    {"stream": "ßer\n"},
    {"stream": "--> e87bf59a6b5\n"},
    {"stream": f"{SECOND}\n"},
    {"stream": f"{COMMIT}\n"},
    {"stream": "--> df698d7f060\n"},
    *END,
]
CACHED: list[Message] = [
    {"stream": f"{FIRST}\n"},
    {"stream": "--> Using cache e87bf59a6b54c640c1579d6f859c526866817b90c23a32ca090336037bd1e74b\n"},
    {"stream": "--> e87bf59a6b5\n"},
    *END,
]
FAILED: list[Message] = [
    {"stream": "STEP 2/2: RUN echo begun && exit 3\n"},
    {"stream": "begun"},
    {"errorDetail": {"message": "…"}, "error": "building at STEP: while running runtime: exit status 3\n"},
]
UNMOUNTED: list[Message] = [
    {"stream": "[3/6] STEP 2/2: RUN --mount=type=bind,from=tools true\n"},
    {"stream": 'level=warning msg="couldn\'t find \\"/merged/opt/pip\\" on host to bind mount into container"\n'},
    {"error": "exit status 1"},
]


class Podman(FakeEngine):
    """Answers each build with the next of *answers*, and remembers how it was asked."""

    def __init__(self, *answers: list[Message]) -> None:
        super().__init__()
        self.about["Components"] = [{"Name": "Podman Engine"}]
        self.answers, self.asked = list(answers), list[dict[str, Any]]()

    def build(self, context: IO[bytes], parameters: Mapping[str, str | list[str]]) -> Generator[Message]:
        self.asked.append(dict(parameters))
        yield from self.answers.pop(0)


def listened(messages: list[Message]) -> tuple[BuildahListener, list[tuple[str, str, str]]]:
    events: list[BuildEvent] = []
    listener = BuildahListener(events.append)
    for message in messages:
        listener.hear(message)
    return listener, [(event.kind.value, event.step, event.text) for event in events]


def test_steps_begin_end_and_speak() -> None:
    listener, events = listened(BUILT)
    assert events[1:] == [
        ("started", FIRST, ""),
        ("log", FIRST, "begun"),
        ("log", FIRST, "b"),
        ("log", FIRST, "größer"),
        ("done", FIRST, ""),
        ("started", SECOND, ""),
        ("done", SECOND, ""),
        ("started", COMMIT, ""),
        ("done", COMMIT, ""),
        ("log", "", "Successfully tagged localhost/x:1"),
    ]
    assert (listener.image, listener.error) == (ID, "")


def test_a_step_from_the_cache_ends_once() -> None:
    _, events = listened(CACHED)
    assert [kind for kind, step, _ in events if step == FIRST][:2] == ["started", "cached"]
    assert "done" not in [kind for kind, _, _ in events]


def test_a_step_that_fails_has_its_last_words() -> None:
    listener, events = listened(FAILED)
    assert [kind for kind, _, _ in events] == ["started", "log", "failed"]
    assert listener.failed_step == "STEP 2/2: RUN echo begun && exit 3"
    assert list(listener.tails[listener.failed_step]) == ["begun"]
    assert listener.image is None


def build(engine: Podman, *, no_cache: bool = False) -> list[str]:
    events: list[BuildEvent] = []
    request = BuildRequest(BuildInputs("FROM x\n", ()), "x", ("t:1",), {}, HostSettings(), no_cache=no_cache)
    assert BuildahBuilder(engine).build(request, on_event=events.append) == ID
    return [event.step for event in events]


def test_a_cached_stage_that_cannot_be_mounted_is_built_anew(logs: Path) -> None:
    engine = Podman(UNMOUNTED, BUILT)
    assert "once more, as Buildah cannot mount a stage out of its cache" in build(engine)
    assert [asked.get("nocache") for asked in engine.asked] == [None, "1"]
    assert [asked for asked in engine.asked if "version" in asked] == [], "which would ask for BuildKit"
    for answers, no_cache in (([UNMOUNTED, UNMOUNTED], False), ([UNMOUNTED], True), ([FAILED], False)):
        with pytest.raises(BuildError):
            build(engine := Podman(*answers), no_cache=no_cache)
        assert engine.answers == [], "and once only, and for nothing else"


def test_podman_builds_with_buildah_and_docker_with_buildkit() -> None:
    assert isinstance(builder_of(Podman()), BuildahBuilder)
    assert isinstance(builder_of(FakeEngine()), BuildKitBuilder)
