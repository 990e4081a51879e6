"""Weights to a model file, through the architecture; kept in the cache, so that it is emitted once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness import weights as weight_files
from mlperf_docker.harness.architectures.resnet50 import FULL, ResNetConfig, features, resnet50
from mlperf_docker.harness.backends.base import Tensor
from mlperf_docker.harness.errors import ModelFileError, UsageError
from mlperf_docker.harness.files import checksum, locked, write_atomically
from mlperf_docker.harness.weights import ArrayWeights

VERSION = "resnet50-onnx-1"
"""Part of the cache's key. Count it up when the emitted graph changes."""

IMAGE = Tensor("input_tensor:0", "float32", (None, 3, 224, 224))


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> ResNetConfig:
    """The size of network that *arrays* belong to, told from their names and the first convolution.

    Raises ModelFileError where even that cannot be told.
    """
    stages = [{name.split(".")[1] for name in arrays if name.startswith(f"layer{stage}.")} for stage in range(1, 5)]
    stem, head = arrays.get("conv1.weight"), arrays.get("fc.weight")
    if stem is None or head is None or not all(stages):
        missing = [name for name in ("conv1.weight", "fc.weight") if name not in arrays]
        details = [f"missing: {name}" for name in missing] or ["missing: weights of a whole stage"]
        raise ModelFileError(f"{source} does not hold a ResNet", details=details)
    if head.shape[0] != FULL.classes:
        raise ModelFileError(
            f"{source} has {head.shape[0]} classes; this cell needs the {FULL.classes} of the official weights",
            hint="Weights of torchvision were trained with other preprocessing and belong to the pytorch backend.",
        )
    b1, b2, b3, b4 = (len(stage) for stage in stages)
    return ResNetConfig(blocks=(b1, b2, b3, b4), width=int(stem.shape[0]))


def emit(arrays: Mapping[str, NDArray[Any]], config: ResNetConfig) -> bytes:
    """An .onnx file with the interface of the official one: ArgMax:0 and softmax_tensor:0 from input_tensor:0."""
    from mlperf_docker.harness.ops.onnx import OnnxOps

    ops = OnnxOps()
    logits = resnet50(ops, ArrayWeights(ops, arrays), IMAGE.name, config)
    label = Tensor("ArgMax:0", "int64", (None,))
    probabilities = Tensor("softmax_tensor:0", "float32", (None, config.classes))
    return ops.model("resnet50", (IMAGE,), ((ops.argmax(logits), label), (ops.softmax(logits), probabilities)))


def emit_features(arrays: Mapping[str, NDArray[Any]], config: ResNetConfig) -> bytes:
    """An .onnx file whose output `features:0` is what the classifier sees; it scales synthetic classifiers."""
    from mlperf_docker.harness.ops.onnx import OnnxOps

    ops = OnnxOps()
    pooled = features(ops, ArrayWeights(ops, arrays), IMAGE.name, config)
    return ops.model("features", (IMAGE,), ((pooled, Tensor("features:0", "float32", (None, config.features))),))


def shapes(config: ResNetConfig) -> weight_files.Shapes:
    """Names and shapes of all weights of a network of this size."""
    return weight_files.declared(lambda ops, w: resnet50(ops, w, None, config))


EMITTERS: dict[str, tuple[str, Callable[[Mapping[str, NDArray[Any]], ResNetConfig], bytes]]] = {
    "onnxruntime": ("model.onnx", emit)
}


def cached_graph(weights: Path, cache: Path, *, backend: str) -> Path:
    """The model file for *backend* around *weights*, emitted once per content. Raises ModelFileError."""
    if backend not in EMITTERS:
        raise UsageError(f"resnet50 has no way from safetensors to {backend} yet")
    name, emitter = EMITTERS[backend]
    folder = cache / "graphs" / f"{VERSION}-{checksum(weights)[:20]}"
    path = folder / name
    if not path.exists():
        with locked(folder.with_suffix(".lock")):
            if not path.exists():
                folder.mkdir(exist_ok=True)
                write_atomically(path, emitter(_checked(weights), config_of(weight_files.read(weights), str(weights))))
    return path


def _checked(weights: Path) -> Mapping[str, NDArray[Any]]:
    arrays = weight_files.read(weights)
    weight_files.check(shapes(config_of(arrays, str(weights))), arrays, str(weights))
    return arrays
