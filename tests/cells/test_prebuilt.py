"""A CI user's whole path: build and push on one machine, and on another that has nothing, pull and run."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.local_images import find
from tests.cells.tool import Tool
from tests.fixtures.docker_client import api
from tests.fixtures.registries import Registries
from tests.fixtures.second_engine import SecondEngine

pytestmark = pytest.mark.engine
RUN = ("run", "bert", "--synthetic", "tiny", "--mode", "accuracy")


@pytest.fixture
def here(tool: Tool, registries: Registries, client: DockerEngine) -> Iterator[Tool]:
    """The tool on this machine, with a registry that can be pushed to."""
    name = f"{registries.open.host}/ci"
    yield dataclasses.replace(tool, environment={**tool.environment, "MLPERF_DOCKER_REGISTRY": name})
    for image in api(client).images(filters={"reference": f"{name}/*"}):
        for tag in image["RepoTags"]:
            if tag.startswith(name):
                client.remove_image(tag)


@pytest.fixture
def there(here: Tool, other_machine: SecondEngine, tmp_path: Path) -> Tool:
    """The tool on a machine whose engine has nothing, as a user with a home of their own."""
    folders = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}
    return Tool({**here.environment, **folders, "DOCKER_HOST": other_machine.socket}, tmp_path)


def test_push_here_and_run_there(
    here: Tool, there: Tool, client: DockerEngine, other_machine: SecondEngine, results: Path
) -> None:
    pushed = here("build", "bert", "--bootstrap-base", "--push").stdout.strip()
    exact, _, digest = pushed.partition("@")
    ours = here.json(*RUN, "--pull", "never", "--results", str(results))
    assert ours["image"]["tag"] == exact
    assert ours["image"]["digest"] == digest

    missing = there(*RUN, "--pull", "never", "--results", str(results), expect=4).stderr
    assert "base image" in missing, "there is nothing on that machine, not even a base"
    theirs = there.json(*RUN, "--pull", "always", "--results", str(results))
    assert theirs["image"] == ours["image"]
    for key in ("accuracy", "samples", "valid", "versions", "model", "backend", "scenario"):
        assert theirs[key] == ours[key], key
    assert theirs["valid"] is True

    again = json.loads(there("pull", "bert", "--digest", digest, "--json").stdout)
    assert [(each["state"], each["image"], each["digest"], each["bytes"]) for each in again] == [
        ("present", exact, digest, 0)
    ]
    assert there.json(*RUN, "--results", str(results))["image"] == ours["image"], "and it is found without a registry"
    listed = json.loads(there("list", "--remote", "--json").stdout)
    found = {f"{each['model']}:{each['backend']}-{each['device']}": each for each in listed}
    assert (found["bert:onnxruntime-cpu"]["pullable"], found["bert:onnxruntime-cpu"]["state"]) == (
        True,
        "present",
    )
    assert found["dlrm:onnxruntime-cpu"]["pullable"] is False
    local = find(client, exact)
    assert local is not None
    assert local.id == theirs["image"]["id"]


def test_push_wants_a_registry_before_it_builds(tool: Tool) -> None:
    refused = tool("build", "bert", "--push", expect=10).stderr
    assert "names no host" in refused
    assert "--registry HOST/PATH" in refused
