"""Weights of ResNet-50 by torchvision's names, out of the files that hold them under other names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.models.resnet50 import from_onnx, from_tensorflow
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict

READERS: Mapping[ModelFormat, Callable[[Path], dict[str, NDArray[Any]]]] = {
    ModelFormat.SAFETENSORS: weight_files.read,
    ModelFormat.STATE_DICT: state_dict.read,
    ModelFormat.FROZEN_GRAPH: from_tensorflow.read,
    ModelFormat.ONNX: from_onnx.read,
}
