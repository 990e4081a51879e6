"""Weights of RetinaNet by the training checkpoint's names, out of the files that hold them.

The checkpoint has them below "model". The TorchScript archive has the same names. The ONNX graph has them for its
convolutions; its exporter made each normalisation, whose statistics training left alone, a product and a sum.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.models.resnet50.foreign import norm_of
from mlperf_docker.harness.models.resnet50.from_onnx import UNIT_VARIANCE
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict
from mlperf_docker.harness.weights.onnx_files import load_graph, load_model, values

Arrays = dict[str, NDArray[Any]]

_NEWER = re.compile(r"((?:inner|layer)_blocks\.\d+|conv\.\d+)\.0\.(weight|bias)$")
"""Newer torchvisions wrap the pyramid's and the heads' convolutions once more, and count these in ones."""


def read_checkpoint(path: Path) -> Arrays:
    """The training checkpoint, also inside the .zip that it comes in, or a bare state_dict."""
    return renamed(state_dict.read(path, key="model"))


def renamed(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Names of newer torchvisions as the checkpoint has them; its own are left as they are."""
    found = {}
    for name, array in arrays.items():
        match = _NEWER.search(name)
        flat = match[1] if match else ""
        if match and flat.startswith("conv."):
            flat = f"conv.{2 * int(flat.removeprefix('conv.'))}"
        found[f"{name[: match.start()]}{flat}.{match[2]}" if match else name] = array
    return found


def read_archive(path: Path) -> Arrays:
    """The TorchScript archive. Raises ModelFileError if PyTorch is not there or cannot read it."""
    return renamed(state_dict.read_archive(path))


def read_graph(path: Path) -> Arrays:
    """The ONNX graph, or one that `convert` wrote. Raises ModelFileError.

    A normalisation that became a product and a sum is taken for one whose statistics do nothing else.
    """
    graph = load_graph(path)
    tables = {tensor.name: values(tensor) for tensor in graph.initializer}
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    takers = {name: node for node in graph.node for name in node.input if node.op_type in ("Mul", "Add")}
    found = {name: array for name, array in tables.items() if re.match(r"(backbone|head)\..*\.\w+$", name)}
    for node in graph.node:
        weight = node.input[1] if node.op_type == "Conv" else ""
        norm = norm_of(weight.removesuffix(".weight")) if weight.startswith("backbone.body.") else ""
        if norm and f"{norm}.weight" not in found:
            scale, output = _factor(takers, tables, same, node.output[0], "Mul")
            offset, _ = _factor(takers, tables, same, output, "Add")
            if scale is None or offset is None:
                raise ModelFileError(f"{path}: no product and sum follow the convolution with {weight}")
            one = np.ones(scale.shape, dtype=np.float32)
            parts = {"weight": scale, "bias": offset, "running_mean": 0 * one, "running_var": UNIT_VARIANCE * one}
            found |= {f"{norm}.{part}": array for part, array in parts.items()}
    return found


def candidates(path: Path) -> int | None:
    """How many candidates of each image a graph that `convert` wrote gives; None for others. Raises ModelFileError."""
    boxes = [output.type.tensor_type.shape.dim for output in load_model(path).graph.output if output.name == "boxes"]
    axes = [axis.dim_value for dims in boxes for axis in dims]
    return axes[1] or None if len(axes) == 3 else None


def _factor(
    takers: Mapping[str, Any], tables: Arrays, same: Mapping[str, str], value: str, operator: str
) -> tuple[NDArray[Any] | None, str]:
    """The table that *value* meets in *operator*, one number for each channel, and the result's name."""
    node = takers.get(value)
    if node is None or node.op_type != operator:
        return None, ""
    names = [same.get(name, name) for name in node.input if name != value]
    array = tables.get(names[0]) if names else None
    return (None if array is None else array.reshape(-1)), node.output[0]


READERS: Mapping[ModelFormat, Callable[[Path], Arrays]] = {
    ModelFormat.SAFETENSORS: weight_files.read,
    ModelFormat.STATE_DICT: read_checkpoint,
    ModelFormat.TORCHSCRIPT: read_archive,
    ModelFormat.ONNX: read_graph,
}
