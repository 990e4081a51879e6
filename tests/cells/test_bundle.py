"""A bundle takes an image and its model file to a host without a network, and `run` works there."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cells.tool import Tool
from tests.fixtures.second_engine import SecondEngine, second_engine

pytestmark = pytest.mark.engine
TINY = ("run", "resnet50", "--synthetic", "tiny", "--mode", "accuracy")


@pytest.fixture
def second(engine: object) -> Iterator[SecondEngine]:
    """A daemon in a network namespace without routes, with room for one image, twice."""
    with second_engine(disk="2g") as daemon:
        yield daemon


@pytest.fixture
def island(tool: Tool, second: SecondEngine, tmp_path: Path) -> Tool:
    """The command on that daemon, in a network namespace of its own, with nothing in its home."""
    folders = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}
    own = {"DOCKER_HOST": second.socket, "MLPERF_DOCKER_NODE_CACHE": str(tmp_path / "local")}
    environment = {**tool.environment, **folders, **own}
    return Tool(environment, tmp_path, ("unshare", "--net"))


def test_a_run_out_of_a_bundle(tool: Tool, image: str, island: Tool, tmp_path: Path) -> None:
    routes = subprocess.run(
        [*island.prefix, "cat", "/proc/net/route"], capture_output=True, text=True, check=True, timeout=20
    )
    assert len(routes.stdout.splitlines()) <= 1, "a header at most"
    here = tool.json(*TINY)
    (weights,) = (tool.home / "cache/mlperf-docker/harness").rglob("resnet50-tiny-*/weights.safetensors")
    mine = tool.home / "cache/mlperf-docker/models/resnet50/mine.safetensors"
    mine.parent.mkdir(parents=True, exist_ok=True)
    os.link(weights, mine)
    try:
        assert tool("bundle", "resnet50", "--to", str(tmp_path / "bundle")).stdout.strip() == str(tmp_path / "bundle")
    finally:
        mine.unlink()
    there = island.json(*TINY, "--bundle", str(tmp_path / "bundle"))
    for key in ("accuracy", "image", "samples", "versions", "valid"):
        assert there[key] == here[key], key
    assert island("bundle", "load", str(tmp_path / "bundle")).stdout.strip() == image, "which the run has loaded"
    assert island.json(*TINY)["image"] == there["image"]
    carried = tmp_path / "cache/mlperf-docker/models/resnet50/mine.safetensors"
    assert carried.read_bytes() == weights.read_bytes()
    done = island("models", "convert", "resnet50", "--model-file", str(carried), "--to", str(tmp_path / "r.onnx"))
    assert done.stdout.strip() == str(tmp_path / "r.onnx"), "the other commands work there as well"
