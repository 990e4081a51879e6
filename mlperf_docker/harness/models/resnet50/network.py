"""ResNet-50's interfaces: that of its official graphs, and the network around weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.resnet50 import (
    POOL_AS_TENSORFLOW,
    POOL_AS_TORCH,
    ResNetConfig,
    features,
    resnet50,
)

BACKGROUND = 1001
"""Classes of TensorFlow's weights: index 0 is the background, which ImageNet's labels do not count."""
CLASSES = 1000
"""Classes of torchvision's weights."""

IMAGE = Tensor("input_tensor:0", "float32", (None, 3, 224, 224))
IMAGE_CHANNELS_LAST = Tensor("input_tensor:0", "float32", (None, 224, 224, 3))
LABEL = Tensor("ArgMax:0", "int64", (None,))
PROBABILITIES, LOGITS = "softmax_tensor:0", "logits:0"


@dataclass(frozen=True, slots=True)
class Form:
    """Form of prepared images: TensorFlow's or torchvision's numerics, and the axis of the channels."""

    torchvision: bool = False
    channels_last: bool = False


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> ResNetConfig:
    """The size of network that *arrays* belong to, told from their names, the first convolution and the classifier.

    1001 classes are TensorFlow's weights, whose max pool pads differently from that of torchvision's 1000.
    Raises ModelFileError where even that cannot be told.
    """
    stages = [{name.split(".")[1] for name in arrays if name.startswith(f"layer{stage}.")} for stage in range(1, 5)]
    stem, head = arrays.get("conv1.weight"), arrays.get("fc.weight")
    if stem is None or head is None or not all(stages):
        missing = [name for name in ("conv1.weight", "fc.weight") if name not in arrays]
        details = [f"missing: {name}" for name in missing] or ["missing: weights of a whole stage"]
        raise ModelFileError(f"{source} does not hold a ResNet", details=details)
    classes = int(head.shape[0])
    if classes not in (CLASSES, BACKGROUND):
        raise ModelFileError(
            f"{source} has {classes} classes, not the {CLASSES} of ImageNet (or {BACKGROUND} with a background)",
            hint="It is a ResNet that was trained on other data.",
        )
    pool = POOL_AS_TENSORFLOW if classes == BACKGROUND else POOL_AS_TORCH
    b1, b2, b3, b4 = (len(stage) for stage in stages)
    return ResNetConfig(blocks=(b1, b2, b3, b4), width=int(stem.shape[0]), classes=classes, pool=pool)


def network(arrays: Mapping[str, NDArray[Any]], config: ResNetConfig) -> Network:
    """The network with the outputs of the official graph and, for comparisons, the logits before them.

    Outputs: ArgMax:0 int64 (N,), softmax_tensor:0 and logits:0 float32 (N, classes).
    """

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401 (any backend's tensors)
        logits = resnet50(ops, w, inputs[0], config)
        return ops.argmax(logits), ops.softmax(logits), logits

    scores = (None, config.classes)
    outputs = (LABEL, Tensor(PROBABILITIES, "float32", scores), Tensor(LOGITS, "float32", scores))
    return Network("resnet50", Interface((IMAGE,), outputs), arrays, build)


def feature_network(arrays: Mapping[str, NDArray[Any]], config: ResNetConfig) -> Network:
    """The network up to what the classifier sees, `features:0`; it scales synthetic classifiers."""

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        return (features(ops, w, inputs[0], config),)

    outputs = (Tensor("features:0", "float32", (None, config.features)),)
    return Network("features", Interface((IMAGE,), outputs), arrays, build)


def shapes(config: ResNetConfig) -> named_weights.Shapes:
    """Names and shapes of all weights of a network of this size."""
    return named_weights.declared(lambda ops, w: resnet50(ops, w, None, config))


def checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Network:
    """The network around *arrays*. Raises ModelFileError with every missing, unused or misshapen one."""
    config = config_of(arrays, source)
    named_weights.check(shapes(config), arrays, source)
    return network(arrays, config)
