"""Weights of BERT by the PyTorch checkpoint's names, out of the files that hold them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import ModelFileError, first_ten
from mlperf_docker.harness.models.bert import from_onnx, from_tensorflow
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights import state_dict

Arrays = dict[str, NDArray[Any]]

LEFT_OUT = ("bert.pooler.", "bert.embeddings.position_ids")
"""What checkpoints have beside the weights: the pooler, which answers have no use for, and a table of 0, 1, 2, …"""
RANGE = "_quantizer._amax"


def read_checkpoint(path: Path) -> Arrays:
    """A state_dict of transformers' BertForQuestionAnswering. Raises ModelFileError for that of the int8 network."""
    arrays = state_dict.read(path)
    ranges = [name for name in arrays if name.endswith(RANGE)]
    if ranges:
        raise ModelFileError(
            f"{path} holds the ranges of {len(ranges)} quantisers: it is the int8 checkpoint, which nothing here runs",
            hint="Use model.pytorch, or int8 on onnxruntime: --backend onnxruntime --precision int8",
            details=first_ten(ranges),
        )
    return {name: array for name, array in arrays.items() if not name.startswith(LEFT_OUT)}


READERS: Mapping[ModelFormat, Callable[[Path], Arrays]] = {
    ModelFormat.SAFETENSORS: weight_files.read,
    ModelFormat.STATE_DICT: read_checkpoint,
    ModelFormat.ONNX: from_onnx.read,
    ModelFormat.FROZEN_GRAPH: from_tensorflow.read,
    ModelFormat.CHECKPOINT: from_tensorflow.read_checkpoint,
}
