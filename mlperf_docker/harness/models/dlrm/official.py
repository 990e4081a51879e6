"""DLRM's weights by the checkpoint's names, out of the files that hold them. Tables are mapped, not read."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict
from mlperf_docker.harness.weights.onnx_files import array_of, load_model

Arrays = dict[str, NDArray[Any]]

_WEIGHT = re.compile(r"(?:.*\.)?((?:emb_l|bot_l|top_l)\.\d+\.(?:weight|bias))$")
"""Names in an exported graph; an exporter may put something in front."""


def read_checkpoint(path: Path) -> Arrays:
    """The official checkpoint, whose weights are below "state_dict", or a bare state_dict."""
    return state_dict.read(path, key="state_dict")


def read_graph(path: Path) -> Arrays:
    """The initializers of the official ONNX graph, which are in files beside it where they are large.

    Raises ModelFileError. The graph itself is not run: its 26 lookups take offsets that say nothing, one id to a bag,
    and a framework that loads it wants all tables for itself.
    """
    found: Arrays = {}
    for tensor in load_model(path).graph.initializer:
        match = _WEIGHT.match(tensor.name)
        if match:
            found[match[1]] = array_of(path, tensor)
    return found


READERS: Mapping[ModelFormat, Callable[[Path], Arrays]] = {
    ModelFormat.SAFETENSORS: weight_files.mapped,
    ModelFormat.STATE_DICT: read_checkpoint,
    ModelFormat.ONNX: read_graph,
}
