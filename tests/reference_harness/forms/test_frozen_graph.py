"""Frozen graphs of networks: TensorFlow computes from the file as from the network itself."""

from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, SyntheticSize
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.models.resnet50.network import IMAGE_CHANNELS_LAST, LABEL, LOGITS, checked
from mlperf_docker.harness.models.resnet50.synthetic import RECIPES, draw_weights


@pytest.mark.parametrize("large", [1 << 20, 1])
def test_a_frozen_graph_computes_what_its_network_does(
    large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where weights are held as variables of a session, as large ones are."""
    from mlperf_docker.harness.backends.tensorflow.backend import TensorFlowPredictor
    from mlperf_docker.harness.ops import tensorflow as ops
    from mlperf_docker.reference_harness.forms import frozen_graph

    monkeypatch.setattr(ops, "LARGE", large)
    network = checked(draw_weights(RECIPES[SyntheticSize.TINY].config, 3), "drawn")
    frozen_graph.write(network, tmp_path / "model.pb")
    interface = network.interface.fetching(LABEL.name, LOGITS)
    images = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32) * 50
    own = TensorFlowPredictor(LoadRequest(network, interface, Device.CPU, 1)).predict((images,))
    of_file = Interface((IMAGE_CHANNELS_LAST,), interface.outputs)
    request = LoadRequest(tmp_path / "model.pb", of_file, Device.CPU, 1, ModelFormat.FROZEN_GRAPH)
    found = TensorFlowPredictor(request).predict((np.ascontiguousarray(images.transpose(0, 2, 3, 1)),))
    np.testing.assert_array_equal(found[0], own[0])
    np.testing.assert_allclose(found[1], own[1], rtol=1e-4, atol=1e-4)
