"""Weights of the official frozen graph, resnet50_v1.pb.

Its constants are `resnet_model/conv2d_n/kernel`, `resnet_model/batch_normalization_n/gamma` and so on, numbered as the
layers were made (the first ones have no number). All of its 1001 classes are kept, the background among them.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError, needing
from mlperf_docker.harness.architectures.resnet50 import ResNetConfig
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.foreign import check_settings, creation_order, norm_of

SCOPE = "resnet_model"
KERNEL = re.compile(rf"{SCOPE}/conv2d(?:_(\d+))?/kernel")
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}

Arrays = dict[str, NDArray[Any]]
Graph = Any
"""A tf.Graph, which comes without types."""


def read(path: Path) -> Arrays:
    """Weights with torchvision's names. Raises ModelFileError, naming every constant that is missing or left over."""
    with needing("TensorFlow", path, "tensorflow"):
        from mlperf_docker.harness.backends.tensorflow.backend import read_graph
    graph = read_graph(path)
    found = _constants(graph)
    config = _config(found, str(path))
    names = dict(_names(config))
    shapes = {names[name]: _theirs(shape) for name, shape in networks.shapes(config).items()}
    named_weights.check(shapes, found, str(path))
    _check_settings(graph, names, str(path))
    return {ours: _ours(found[theirs]) for ours, theirs in names.items()}


def _constants(graph: Graph) -> Arrays:
    """The graph's tables of floating point numbers by name. Single numbers are settings, and whole ones are shapes."""
    import tensorflow as tf

    nodes = (node for node in graph.get_operations() if node.type == "Const" and node.outputs[0].dtype.is_floating)
    arrays = {node.name: np.asarray(tf.make_ndarray(node.get_attr("value"))) for node in nodes}
    return {name: array for name, array in arrays.items() if array.size > 1}


def _config(found: Mapping[str, NDArray[Any]], source: str) -> ResNetConfig:
    """The size of the network, told from its 3 x 3 kernels: each stage has a width of its own."""
    kernels = {int(match[1] or 0): found[name] for name in found if (match := KERNEL.fullmatch(name))}
    ordered = [kernels[number] for number in sorted(kernels)]
    widths = [kernel.shape[-1] for kernel in ordered if kernel.shape[:2] == (3, 3)]
    blocks = [len(list(group)) for _, group in groupby(widths)]
    if len(blocks) != 4 or 0 not in kernels:
        raise ModelFileError(
            f"{source} is not the official ResNet graph: its constants {SCOPE}/conv2d_n/kernel are not those of one",
            details=[f"it has {len(kernels)} of them, which make {len(blocks)} of 4 stages"],
        )
    b1, b2, b3, b4 = blocks
    return ResNetConfig(blocks=(b1, b2, b3, b4), width=int(kernels[0].shape[-1]), classes=networks.BACKGROUND)


def _names(config: ResNetConfig) -> Iterator[tuple[str, str]]:
    """Torchvision's and the graph's name of each weight."""
    for number, convolution in enumerate(creation_order(config.blocks)):
        suffix = f"_{number}" if number else ""
        yield f"{convolution}.weight", f"{SCOPE}/conv2d{suffix}/kernel"
        for ours, theirs in NORM.items():
            yield f"{norm_of(convolution)}.{ours}", f"{SCOPE}/batch_normalization{suffix}/{theirs}"
    yield "fc.weight", f"{SCOPE}/dense/kernel"
    yield "fc.bias", f"{SCOPE}/dense/bias"


def _theirs(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A weight's shape in TensorFlow's layout: height, width, in, out; or in, out."""
    return (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape[::-1]


def _ours(array: NDArray[Any]) -> NDArray[Any]:
    """A constant in PyTorch's layout: out, in, height, width; or out, in."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)


def _check_settings(graph: Graph, names: Mapping[str, str], source: str) -> None:
    ours = {theirs: name.removesuffix(".weight") for name, theirs in names.items()}
    strides, epsilons = {}, {}
    for node in graph.get_operations():
        layer = ours.get(_constant_behind(node.inputs[1])) if len(node.inputs) > 1 else None
        if layer and node.type == "Conv2D":
            strides[layer] = max(node.get_attr("strides"))
        elif layer and node.type.startswith("FusedBatchNorm"):
            epsilons[layer] = node.get_attr("epsilon")
    check_settings(source, strides, epsilons)


def _constant_behind(tensor: Any) -> str:  # noqa: ANN401
    """The name of the constant that a tensor is, or is read from."""
    node = tensor.op
    while node.type == "Identity":
        node = node.inputs[0].op
    return str(node.name)
