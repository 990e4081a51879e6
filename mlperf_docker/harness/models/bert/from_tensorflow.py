"""Weights of the official frozen graph, model.pb, and of the checkpoint that it was made from, model.ckpt-5474.

The graph's constants have the names of the checkpoint's variables: `bert/encoder/layer_0/attention/self/query/kernel`
and so on. Kernels are transposed, the head is not.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import damaged, needing
from mlperf_docker.harness.models.bert import network as networks

Arrays = dict[str, NDArray[Any]]

HEAD = {"cls/squad/output_weights": "qa_outputs.weight", "cls/squad/output_bias": "qa_outputs.bias"}
PARTS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
VARIABLE = re.compile(r"(bert/(?!pooler/).*)/(kernel|bias|gamma|beta|\w+_embeddings)")
"""What a weight of the network is called; the pooler's are left out."""


def canonical(name: str) -> str | None:
    """The PyTorch name of a variable, or None if it is no weight of the network."""
    if name in HEAD:
        return HEAD[name]
    match = VARIABLE.fullmatch(name)
    if match is None:
        return None
    path = re.sub(r"\blayer_(\d+)", r"layer.\1", match[1]).replace("/", ".")
    return f"{path}.{PARTS[match[2]]}" if match[2] in PARTS else f"{path}.{match[2]}.weight"


def read(path: Path) -> Arrays:
    """Weights of a frozen graph with PyTorch's names, and which GELU it has. Raises ModelFileError."""
    tf = _tensorflow(path)
    from mlperf_docker.harness.backends.tensorflow.backend import read_graph

    nodes = read_graph(path).get_operations()
    constants = {node.name: node for node in nodes if node.type == "Const" and canonical(node.name)}
    arrays = _renamed({name: tf.make_ndarray(node.get_attr("value")) for name, node in constants.items()})
    return networks.marked(arrays, tanh=not any(node.type == "Erf" for node in nodes))


def read_checkpoint(path: Path) -> Arrays:
    """Weights of a checkpoint, of which *path* is the .index file, with PyTorch's names. Raises ModelFileError.

    It has the training's own variables too, which are left out; GELU is the approximation that training used.
    """
    tf = _tensorflow(path)
    try:
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        found = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if canonical(name)}
    except Exception as error:  # TensorFlow's own, ValueError, RuntimeError, …
        hint = "Its .data-00000-of-00001 has to lie beside it. Compare checksums with: mlperf-docker models verify"
        raise damaged(path, "TensorFlow checkpoint", error, hint=hint) from error
    return networks.marked(_renamed(found), tanh=True)


def _tensorflow(path: Path) -> Any:  # noqa: ANN401
    with needing("TensorFlow", path, "tensorflow"):
        import tensorflow as tf
    return tf


def _renamed(found: Mapping[str, NDArray[Any]]) -> Arrays:
    """Variables of the network by canonical name and layout."""
    return {
        canonical(name) or name: np.ascontiguousarray(array.T) if name.endswith("/kernel") else np.asarray(array)
        for name, array in found.items()
    }
