"""Mounts of our Dockerfiles: files of the context, and a cache that outlives a build."""

import uuid
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.known_bases import Base
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fixtures.engine import MARK, TEST_LABEL

pytestmark = pytest.mark.engine


def test_a_requirements_file_is_mounted_and_a_cache_outlives_a_build(
    clean: DockerEngine, base_image: Base, logs: Path
) -> None:
    cache = f"--mount=type=cache,id=mlperf-test-{uuid.uuid4().hex[:8]},target=/run/cache"
    bind = "--mount=type=bind,source=requirements/common.txt,target=/run/requirements.txt"
    step = f"RUN {cache} {bind} cat /run/requirements.txt && echo was here >> /run/cache/log && cat /run/cache/log"

    def printed(requirements: str) -> list[str]:
        events: list[BuildEvent] = []
        files = (ContextFile("requirements/common.txt", f"{requirements}\n".encode()),)
        inputs = BuildInputs(f"ARG BASE\nFROM ${{BASE}}\n{step}\n", files)
        request = BuildRequest(inputs, base_image.reference, (f"{MARK}/mounts:1",), {TEST_LABEL: MARK}, HostSettings())
        builder_of(clean).build(request, on_event=events.append)
        return [event.text for event in events if event.kind is BuildEventKind.LOG]

    assert printed("numpy==2.0") == ["numpy==2.0", "was here"]
    assert printed("numpy==2.1") == ["numpy==2.1", "was here", "was here"]
    assert printed("numpy==2.1") == [], "nothing changed"
