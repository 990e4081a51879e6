"""RNN-T's weights by the checkpoint's names, out of the files that hold them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict

Arrays = dict[str, NDArray[Any]]

KEY = "state_dict"
STORED = ("audio_preprocessor.featurizer.fb", "audio_preprocessor.featurizer.window")
"""The mel filters and the window that the network was trained with; features make their own."""
_OLD, _NEW = "joint_net.", "joint.net."


def renamed(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The weights as the networks ask for them: the joint's prefix put right, what features stored left out."""
    kept = {name: array for name, array in arrays.items() if name not in STORED}
    return {_NEW + name.removeprefix(_OLD) if name.startswith(_OLD) else name: kept[name] for name in kept}


def read_checkpoint(path: Path) -> Arrays:
    """The official checkpoint, whose weights are below "state_dict", or a bare state_dict."""
    return renamed(state_dict.read(path, key=KEY))


def read_safetensors(path: Path) -> Arrays:
    """Weights that `convert` or a synthetic set wrote."""
    return renamed(weight_files.read(path))


READERS: Mapping[ModelFormat, Callable[[Path], Arrays]] = {
    ModelFormat.SAFETENSORS: read_safetensors,
    ModelFormat.STATE_DICT: read_checkpoint,
}
