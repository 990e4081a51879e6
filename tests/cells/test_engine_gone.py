"""An engine that goes away at any request of a command: exit code 3, or 9 where the container ran; never a bug."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.engine.address import DEFAULT_HOST
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.container import remove_orphans
from tests.cells.tool import PERFORMED, REGISTRY, Tool, containers, wait_for
from tests.fakes.engine_proxy import before_the_engine
from tests.fixtures.docker_client import api

pytestmark = pytest.mark.engine
RUN = ("run", "resnet50", "--synthetic", "tiny", "--min-duration", "1")
ENOUGH = 40
"""Requests that no command here has."""
STEP = 1 if os.environ.get("MLPERF_TEST_LONG") else 3


@pytest.fixture
def real() -> str:
    host = os.environ.get("DOCKER_HOST", DEFAULT_HOST)
    if not host.startswith("unix://"):
        pytest.skip("the engine has no socket on this host")
    return host.removeprefix("unix://")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="mlperf-") as path:
        yield Path(path)


def test_at_any_request_of_a_run(
    tool: Tool, image: str, real: str, folder: Path, results: Path, client: DockerEngine
) -> None:
    codes = {}
    for limit in range(0, ENOUGH, STEP):
        with before_the_engine(folder / "engine", real, limit) as proxy:
            done = tool(*RUN, "--results", str(results), expect=(*PERFORMED, 3, 9), DOCKER_HOST=proxy.host)
            asked = proxy.seen
        assert "Error: " in done.stderr or done.returncode in PERFORMED
        assert "Internal error" not in done.stderr
        wait_for(lambda: not api(client).containers(filters={"name": "mlperf-docker-", "ancestor": image}), seconds=10)
        remove_orphans(client)  # one that was made and not started
        assert not containers(client)
        codes[limit] = done.returncode
        if done.returncode in PERFORMED and len(asked) < limit:
            break
        started = any(path.endswith("/start") for path in asked)
        assert done.returncode in ((3, 9, *PERFORMED) if started else (3,)), f"{codes}, after {asked}\n{done.stderr}"
    assert 8 < limit < ENOUGH - STEP, "the whole command was tried"


def test_at_any_request_of_a_build(tool: Tool, image: str, real: str, folder: Path) -> None:
    for limit in range(0, ENOUGH, STEP):
        with before_the_engine(folder / "engine", real, limit) as proxy:
            build = ("build", "resnet50", "--registry", f"{REGISTRY}/gone")
            done = tool(*build, expect=(0, 3, 5), DOCKER_HOST=proxy.host)
            asked = proxy.seen
        if done.returncode == 0:
            break
        assert "Error: " in done.stderr
        assert done.returncode == 3 or any("/build?" in path for path in asked), f"after {asked}\n{done.stderr}"
    assert 3 < limit < ENOUGH - STEP, "the whole command was tried"
