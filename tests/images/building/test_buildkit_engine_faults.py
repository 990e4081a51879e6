"""A build that fills the engine's disk, and an engine that is killed in a build: on a daemon of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.errors import BuildError, EngineError
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fixtures import tiny_image
from tests.fixtures.docker_client import api
from tests.fixtures.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.engine
TAG = "mlperf-test/second:1"


@pytest.fixture
def second(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SecondEngine]:
    """A daemon with 64 MiB, which DOCKER_HOST names. *engine* only says that daemons can run here."""
    with second_engine(disk="64m") as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.socket)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        api(connect()).import_image_from_data(tiny_image.archive(), repository="tiny", tag="1")
        yield daemon


def request(dockerfile: str, *files: ContextFile) -> BuildRequest:
    return BuildRequest(
        BuildInputs(f"ARG BASE\nFROM ${{BASE}}\n{dockerfile}\n", files), "tiny:1", (TAG,), {}, HostSettings()
    )


@pytest.mark.parametrize("where", ["context", "step"])
def test_a_full_disk_is_named_with_its_remedy(second: SecondEngine, where: str) -> None:
    noise = ContextFile("noise", os.urandom((100 if where == "context" else 12) << 20))
    asked = request("\n".join(f"COPY noise /noise{n}" for n in range(8)), noise)
    with pytest.raises(BuildError) as caught:
        BuildKitBuilder(connect()).build(asked, on_event=lambda _: None)
    said = f"{caught.value}\n{caught.value.hint}"
    assert caught.value.exit_code is ExitCode.BUILD
    assert "no space left on device" in said
    assert "The engine's disk is full." in said
    assert "docker system df" in said
    assert caught.value.log is not None
    assert "no space left on device" in caught.value.log.read_text()
    assert images.find(connect(), TAG) is None


def test_an_engine_killed_in_a_build(second: SecondEngine) -> None:
    def kill_in_the_step(event: BuildEvent) -> None:
        if event.kind is BuildEventKind.LOG and event.text == "begun":
            second.kill()

    asked = request("RUN echo begun && sleep 60")
    with pytest.raises(BuildError) as caught:
        BuildKitBuilder(connect()).build(asked, on_event=kill_in_the_step)
    assert "the connection to the engine broke" in str(caught.value)
    assert caught.value.log is not None
    assert "begun" in caught.value.log.read_text()
    with pytest.raises(EngineError):
        connect()
