"""SavedModel of a network: a folder with one signature."""

from pathlib import Path
from typing import Any

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.weights import frameworks
from mlperf_docker.reference_harness.forms import frozen_graph

tf: Any = frameworks.load("tensorflow")
v1 = tf.compat.v1


def write(network: Network, path: Path) -> None:
    """Write *network* as the folder *path*, its weights as constants of the graph."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen_graph.frozen(network), name="")
        inputs, outputs = (
            {tensor.name: graph.get_tensor_by_name(f"{tensor.name}:0") for tensor in tensors}
            for tensors in (network.interface.inputs, network.interface.outputs)
        )
        with v1.Session(graph=graph) as session:
            v1.saved_model.simple_save(session, str(path), inputs, outputs)
