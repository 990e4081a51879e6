"""Weights of the official frozen graph, model.pb.

Its constants have the names of the training's variables: `bert/encoder/layer_0/attention/self/query/kernel` and so on.
Kernels are transposed, the head is not.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import ModelFileError
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
    """Weights with PyTorch's names, and which GELU the graph has. Raises ModelFileError."""
    try:
        import tensorflow as tf

        from mlperf_docker.harness.backends.tensorflow import read_graph
    except ImportError as error:
        raise ModelFileError(
            f"{path} can be read only where TensorFlow is installed, and here it is not",
            hint="Use the image of the backend that reads such files: --backend tensorflow",
        ) from error
    nodes = read_graph(path).get_operations()
    arrays = {}
    for node in nodes:
        name = canonical(node.name) if node.type == "Const" else None
        if name is not None:
            array = np.asarray(tf.make_ndarray(node.get_attr("value")))
            arrays[name] = np.ascontiguousarray(array.T) if node.name.endswith("/kernel") else array
    return networks.marked(arrays, tanh=not any(node.type == "Erf" for node in nodes))
