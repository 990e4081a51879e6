"""Fixtures of whole commands on the real engine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.engine.client import DockerEngine
from tests.cells.tool import REGISTRY, Tool, containers, images_named
from tests.fixtures.docker_client import api


@pytest.fixture(scope="session")
def client(engine: DockerEngine) -> DockerEngine:
    return engine


@pytest.fixture(scope="session")
def tool(client: DockerEngine, base_image: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    """The command; every tag that it makes is removed at the end."""
    home = tmp_path_factory.mktemp("home")
    folders = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}
    yield Tool({**os.environ, **folders, "MLPERF_DOCKER_REGISTRY": REGISTRY}, home)
    for tag in images_named(client, REGISTRY):
        api(client).remove_image(tag, force=True)
    assert not images_named(client, REGISTRY)


@pytest.fixture(scope="session")
def image(tool: Tool) -> str:
    """The exact tag of the cell that is complete."""
    return tool("build", "resnet50", "--bootstrap-base").stdout.strip()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def nothing_left(client: DockerEngine) -> Iterator[None]:
    """No test may leave a container behind."""
    before = set(containers(client))
    yield
    assert set(containers(client)) <= before
