"""Synthetic weights as files that the references read, run again by their frameworks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.models.bert.benchmark import draw_network
from mlperf_docker.harness.weights import frameworks

pytest.importorskip("tensorflow")
pytest.importorskip("torch")

FED = {
    "input_ids": np.arange(384, dtype=np.int64)[None] % 999,
    "input_mask": (np.arange(384) < 60).astype(np.int64)[None],
    "segment_ids": (np.arange(384) > 20).astype(np.int64)[None],
}


def by_onnx(network: Network, path: Path) -> NDArray[np.float32]:
    import onnxruntime

    from mlperf_docker.reference_harness.forms import onnx_graph

    onnx_graph.write(network, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], FED)[0])


def by_frozen_graph(network: Network, path: Path) -> NDArray[np.float32]:
    from mlperf_docker.reference_harness.forms import frozen_graph

    frozen_graph.write(network, path)
    tf = frameworks.load("tensorflow")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(tf.compat.v1.GraphDef.FromString(path.read_bytes()), name="")
        with tf.compat.v1.Session(graph=graph) as session:
            fed = {f"{name}:0": value for name, value in FED.items()}
            return np.asarray(session.run("logits:0", fed))


def by_saved_model(network: Network, path: Path) -> NDArray[np.float32]:
    from mlperf_docker.reference_harness.forms import saved_model

    saved_model.write(network, path)
    tf = frameworks.load("tensorflow")
    model = tf.saved_model.load(str(path))
    found = model.signatures["serving_default"](**{name: tf.constant(value) for name, value in FED.items()})
    return np.asarray(found["logits"])


def by_torchscript(network: Network, path: Path) -> NDArray[np.float32]:
    import torch

    from mlperf_docker.reference_harness.forms import torchscript

    torchscript.write(network, path)
    with torch.no_grad():
        found = torch.jit.load(str(path))(*map(torch.from_numpy, FED.values()))
    return np.asarray(found)


@pytest.mark.parametrize("run", [by_frozen_graph, by_saved_model, by_torchscript])
def test_each_form_has_the_same_numbers(run: Callable[[Network, Path], NDArray[np.float32]], tmp_path: Path) -> None:
    """The vocabulary makes a table larger than a megabyte, which TensorFlow's operations hold as a variable."""
    network = draw_network(SyntheticSize.TINY, 4000, 7)
    known = by_onnx(network, tmp_path / "model.onnx")[0, :60]
    np.testing.assert_allclose(run(network, tmp_path / "model")[0, :60], known, atol=1e-4)
    assert known.std() > 0.1


def test_a_checkpoint_holds_the_weights_by_name(tmp_path: Path) -> None:
    import torch

    from mlperf_docker.reference_harness.forms import state_dict

    network = draw_network(SyntheticSize.TINY, 1000, 7)
    state_dict.write(network, tmp_path / "model.pytorch")
    found = torch.load(tmp_path / "model.pytorch")
    assert found.keys() == network.arrays.keys()
    assert all(np.array_equal(found[name].numpy(), array) for name, array in network.arrays.items())
