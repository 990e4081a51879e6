"""Weights of 3D-UNet by the official checkpoint's names, out of the files that hold them.

The checkpoint has them below "best_model_state_dict". The TorchScript archive has the same names, and so has the ONNX
graph, which was exported without folding constants.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict
from mlperf_docker.harness.weights.onnx_files import load_graph, values

Arrays = dict[str, NDArray[Any]]

KEY = "best_model_state_dict"
_LAST = re.compile(r"^output\.conv\.(weight|bias)$")
"""The last layer stands by itself in some files, and in ours within a sequence of one."""
_NAME = re.compile(r"(input_block|downsample\.\d+|bottleneck|upsample\.\d+|output)\..*\.(weight|bias)")


def renamed(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Both spellings of the last layer as the checkpoint has it."""
    return {_LAST.sub(r"output.conv.0.\1", name): array for name, array in arrays.items()}


def read_checkpoint(path: Path) -> Arrays:
    """The checkpoint, or a bare state_dict."""
    return renamed(state_dict.read(path, key=KEY))


def read_archive(path: Path) -> Arrays:
    """The TorchScript archive. Raises ModelFileError if PyTorch is not there or cannot read it."""
    return renamed(state_dict.read_archive(path))


def read_graph(path: Path) -> Arrays:
    """The ONNX graph, or one that `convert` wrote. Raises ModelFileError."""
    tables = ((tensor.name, tensor) for tensor in load_graph(path).initializer)
    return renamed({name: values(tensor) for name, tensor in tables if _NAME.match(name)})


def read_safetensors(path: Path) -> Arrays:
    """Weights that `convert` or a synthetic set wrote."""
    return renamed(weight_files.read(path))


READERS: Mapping[ModelFormat, Callable[[Path], Arrays]] = {
    ModelFormat.SAFETENSORS: read_safetensors,
    ModelFormat.STATE_DICT: read_checkpoint,
    ModelFormat.TORCHSCRIPT: read_archive,
    ModelFormat.ONNX: read_graph,
}
