"""DLRM's weights by the checkpoint's names, out of the files that hold them. Tables are mapped, not read."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness import state_dict
from mlperf_docker.harness import weights as weight_files
from mlperf_docker.harness.errors import ModelFileError
from mlperf_docker.harness.names import Format

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
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (DecodeError, ValueError) as error:
        raise ModelFileError(f"{path} ({path.stat().st_size} bytes) is no ONNX graph: {error}") from error
    found: Arrays = {}
    for tensor in graph.initializer:
        match = _WEIGHT.match(tensor.name)
        if match:
            found[match[1]] = _external(path, tensor) if tensor.external_data else _inline(tensor)
    return found


def _inline(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 (onnx comes without types)
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(tensor))


def _external(path: Path, tensor: Any) -> NDArray[Any]:  # noqa: ANN401
    """An initializer in a file beside *path*, mapped. Raises ModelFileError where it is not all there."""
    from onnx import helper

    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = path.parent / entries.get("location", "")
    dtype, shape = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)), tuple(tensor.dims)
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise ModelFileError(f"{path} wants {tensor.name} from outside its folder: {entries.get('location')}")
    try:
        return np.memmap(file, dtype=dtype, mode="r", offset=int(entries.get("offset", 0)), shape=shape)
    except (OSError, ValueError) as error:
        hint = "Unpack the whole archive: the tables are files beside the graph."
        raise ModelFileError(f"{tensor.name} of {path} is not in {file}: {error}", hint=hint) from error


READERS: Mapping[Format, Callable[[Path], Arrays]] = {
    Format.SAFETENSORS: weight_files.mapped,
    Format.STATE_DICT: read_checkpoint,
    Format.ONNX: read_graph,
}
