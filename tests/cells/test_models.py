"""`models convert` in a real container: which container, what it may not overwrite, and what is left behind."""

import json
import os
import signal
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine
from tests.cells.tool import Tool, containers, wait_for

pytestmark = pytest.mark.engine


@pytest.fixture(scope="session")
def weights(tool: Tool, image: str) -> Path:
    """Tiny weights of ResNet50, as the harness makes them up."""
    tool("run", "resnet50", "--synthetic", "tiny", "--mode", "accuracy")
    (found,) = (tool.home / "cache/mlperf-docker/harness").rglob("resnet50-tiny-*/weights.safetensors")
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_weights_become_a_graph(tool: Tool, weights: Path, out: Path) -> None:
    done = tool.json("models", "convert", "resnet50", "--model-file", str(weights), "--to", str(out / "r.onnx"))
    file = out / "r.onnx"
    assert done["model_file"] == str(file)
    assert done["format"] == "onnx"
    assert done["size_bytes"] == file.stat().st_size > weights.stat().st_size * 0.9
    assert file.stat().st_uid == os.getuid()
    assert list(out.iterdir()) == [file]


def test_a_file_that_is_there_is_replaced_only_by_force(tool: Tool, weights: Path, out: Path) -> None:
    convert = ("models", "convert", "resnet50", "--model-file", str(weights), "--to", str(out / "r.onnx"))
    (out / "r.onnx").write_text("mine")
    assert "--force" in tool(*convert, expect=2).stderr
    assert (out / "r.onnx").read_text() == "mine"
    assert tool(*convert, "--force").stdout == f"{out / 'r.onnx'}\n"
    assert (out / "r.onnx").stat().st_size > 1000


def test_a_file_that_is_no_model_leaves_nothing(tool: Tool, image: str, tmp_path: Path, out: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph" * 100)
    (out / "r.safetensors").write_text("mine")
    options = ("--model-file", str(tmp_path / "m.onnx"), "--to", str(out / "r.safetensors"), "--force")
    done = tool("models", "convert", "resnet50", *options, expect=7)
    assert str(tmp_path / "m.onnx") in done.stderr, "by the name that the user knows"
    assert done.stderr.splitlines()[-1].startswith("Log: ")
    assert [path.read_text() for path in out.iterdir()] == ["mine"]


def test_wrong_conversions_are_refused_before_a_container_starts(
    tool: Tool, weights: Path, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    for source, to, code, said in (
        (weights, out / "r.pth", 2, "is no .safetensors or .onnx file"),
        (weights, tmp_path / "no/r.onnx", 2, f"mkdir -p {tmp_path / 'no'}"),
        (weights, Path("/proc/sys/r.onnx"), 2, "not writable"),
        (tmp_path / "none.onnx", out / "r.safetensors", 7, "no model file at"),
        (tmp_path / "notes.txt", out / "r.safetensors", 7, "--backend"),
    ):
        done = tool("models", "convert", "resnet50", "--model-file", str(source), "--to", str(to), expect=code)
        assert said in done.stderr
    assert not list(out.iterdir())


def test_a_conversion_that_is_interrupted_leaves_no_file(
    tool: Tool, weights: Path, out: Path, client: DockerEngine
) -> None:
    running = tool.start("models", "convert", "resnet50", "--model-file", str(weights), "--to", str(out / "r.onnx"))
    wait_for(lambda: containers(client))
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    if running.returncode != 130:  # it was quicker than we
        assert json.dumps([path.name for path in out.iterdir()]) == '["r.onnx"]'
        return
    assert "Traceback" not in err
    assert not list(out.iterdir())


def test_a_checkpoint_becomes_a_graph_over_two_containers_and_weights_again(
    tool: Tool, weights: Path, out: Path, tmp_path: Path
) -> None:
    import numpy as np
    import safetensors.numpy
    import torch

    expected = safetensors.numpy.load_file(weights)
    checkpoint, graph, back = tmp_path / "tiny.pth", out / "tiny.onnx", out / "back.safetensors"
    torch.save({name: torch.from_numpy(array) for name, array in expected.items()}, checkpoint)
    done = tool("models", "convert", "resnet50", "--model-file", str(checkpoint), "--to", str(graph))
    assert [line for line in done.stderr.splitlines() if "→" in line] == [
        "tiny.pth → safetensors, on pytorch",
        "tiny.pth → onnx, on onnxruntime",
    ]
    assert list(out.iterdir()) == [graph]
    again = tool("models", "convert", "resnet50", "--model-file", str(checkpoint), "--to", str(back)).stdout
    assert again == f"{back}\n"
    found = safetensors.numpy.load_file(back)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
