"""Frozen graph of TensorFlow's of a network: one file with its weights as constants."""

from pathlib import Path
from typing import Any

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.ops.tensorflow import HELD, TensorFlowOps
from mlperf_docker.harness.weights import frameworks

tf: Any = frameworks.load("tensorflow")
v1 = tf.compat.v1

IMAGES = 4
"""Axes of a batch of images."""


def write(network: Network, path: Path) -> None:
    """Write *network* as *path*; its images come with channels last, as the official graph takes them."""
    path.write_bytes(frozen(network).SerializeToString())


def frozen(network: Network) -> Any:  # noqa: ANN401 (TensorFlow comes without types)
    """The GraphDef of *network*."""
    graph, ops = tf.Graph(), TensorFlowOps()
    with graph.as_default():
        inputs = tuple(_input(tensor.name, tensor.dtype, tensor.shape) for tensor in network.interface.inputs)
        found = network.outputs(ops, inputs)
        for tensor, value in zip(network.interface.outputs, found, strict=True):
            tf.identity(ops.channels_last(value), name=_node(tensor.name))
    names = [_node(tensor.name) for tensor in network.interface.outputs]
    return v1.graph_util.extract_sub_graph(_with_constants(graph), names)


def _with_constants(graph: Any) -> Any:  # noqa: ANN401
    """The definition of *graph* with constants where it reads its large weights, which are variables of a session."""
    definition = graph.as_graph_def()
    held = {each.tensor.op.name: each.values for each in graph.get_collection(HELD)}
    for node in definition.node:
        if node.name in held:
            constant = tf.make_tensor_proto(held[node.name])
            node.CopyFrom(v1.NodeDef(name=node.name, op="Const"))
            node.attr["dtype"].type = constant.dtype
            node.attr["value"].tensor.CopyFrom(constant)
    return definition


def _input(name: str, dtype: str, shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401
    """A placeholder called *name*; of images, which the network has with channels first, the transposed one."""
    if len(shape) != IMAGES:
        return v1.placeholder(dtype, shape, name=_node(name))
    batch, channels, height, width = shape
    return tf.transpose(v1.placeholder(dtype, (batch, height, width, channels), name=_node(name)), (0, 3, 1, 2))


def _node(tensor: str) -> str:
    """The operator whose first output is *tensor*."""
    return tensor.removesuffix(":0")
