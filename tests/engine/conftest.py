"""What the tests on a real engine share: everything they make has one mark, and is gone after each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from tests.engine.docker_client import api

MARK = f"mlperf-test-{uuid.uuid4().hex[:8]}"
TEST_LABEL = "org.mlperf-docker.test"


def containers(engine: DockerEngine) -> list[str]:
    """Return the containers that these tests made and that are still there, running or not."""
    return [each["Id"] for each in api(engine).containers(all=True, filters={"label": f"{TEST_LABEL}={MARK}"})]


def tags(engine: DockerEngine) -> list[str]:
    """Return the image tags that these tests made and that are still there."""
    named = (tag for image in api(engine).images() for tag in image["RepoTags"] or ())
    return [tag for tag in named if tag.startswith(f"{MARK}/")]


@pytest.fixture
def clean(engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine; what a test leaves under our mark is removed, also where it failed."""
    yield engine
    for container in containers(engine):
        engine.remove_container(container, force=True)
    for tag in tags(engine):
        api(engine).remove_image(tag, force=True)
    for image in api(engine).images(filters={"label": f"{TEST_LABEL}={MARK}"}):  # one whose tags a second build took
        api(engine).remove_image(image["Id"], force=True)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that build logs go to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "mlperf-docker" / "logs"
