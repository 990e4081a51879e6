"""Weights of ResNet-50 by torchvision's names, out of the files that hold them under other names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.api.names import Format
from mlperf_docker.harness.models.resnet50 import from_onnx, from_tensorflow
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict

READERS: Mapping[Format, Callable[[Path], dict[str, NDArray[Any]]]] = {
    Format.SAFETENSORS: weight_files.read,
    Format.STATE_DICT: state_dict.read,
    Format.FROZEN_GRAPH: from_tensorflow.read,
    Format.ONNX: from_onnx.read,
}
