"""RetinaNet's interfaces: that of its official files, and the network around weights."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.resnet50 import POOL_AS_TORCH, ResNetConfig
from mlperf_docker.harness.architectures.retinanet import (
    ANCHORS,
    SIDE,
    SIZES,
    RetinaNetConfig,
    levels,
    retinanet,
    weights_of,
)

CLASSES = 264
SYNTHETIC_CLASSES = 32
"""Of the small synthetic network: the first ones. Most of its time would go into the table of 264."""

IMAGES = Tensor("images", "float32", (None, 3, SIDE, SIDE))
OFFICIAL = Interface(
    (IMAGES,),
    (
        Tensor("boxes", "float32", (None, 4)),
        Tensor("scores", "float32", (None,)),
        Tensor("labels", "int64", (None,)),
    ),
    ragged=True,
)
"""Of the official ONNX file and TorchScript archive: one image, and as many detections as there are in it."""


def own_interface(count: int | None) -> Interface:
    """Of the network around weights: images, and *count* candidates of each, before overlaps are suppressed."""
    outputs = (
        Tensor("boxes", "float32", (None, count, 4)),
        Tensor("scores", "float32", (None, count)),
        Tensor("labels", "int64", (None, count)),
    )
    return Interface((IMAGES,), outputs)


_BODY = "backbone.body"
_LOGITS = "head.classification_head.cls_logits.weight"
_PARTS = (f"{_BODY}.conv1.weight", f"{_BODY}.layer1.0.conv2.weight", "backbone.fpn.inner_blocks.0.weight", _LOGITS)


def _count(arrays: Mapping[str, NDArray[Any]], prefix: str) -> int:
    """How many different names follow *prefix*, up to the next dot."""
    return len({name[len(prefix) :].split(".")[0] for name in arrays if name.startswith(prefix)})


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> RetinaNetConfig:
    """The size of network that *arrays* belong to. Raises ModelFileError where it cannot be told from them."""
    missing = [f"missing: {name}" for name in _PARTS if arrays.get(name) is None or arrays[name].ndim != 4]
    if missing:
        raise ModelFileError(f"{source} does not hold a RetinaNet", details=missing)
    stem, grouped, pyramid, head = (arrays[name].shape for name in _PARTS)
    if head[0] not in (ANCHORS * CLASSES, ANCHORS * SYNTHETIC_CLASSES):
        raise ModelFileError(
            f"{source} gives {head[0]} values for each cell, not {ANCHORS} anchors times {CLASSES} classes",
            hint="It is a RetinaNet that was trained on other data.",
        )
    b1, b2, b3, b4 = (_count(arrays, f"{_BODY}.layer{stage}.") for stage in range(1, 5))
    body = ResNetConfig(
        blocks=(b1, b2, b3, b4),
        width=stem[0],
        pool=POOL_AS_TORCH,
        groups=max(1, grouped[0] // grouped[1]),
        inner=max(1, grouped[0] // stem[0]),
    )
    depth = _count(arrays, "head.classification_head.conv.")
    return RetinaNetConfig(body=body, channels=pyramid[0], depth=depth, classes=head[0] // ANCHORS)


def network(arrays: Mapping[str, NDArray[Any]], config: RetinaNetConfig) -> Network:
    """The network up to the candidates: boxes (N, K, 4) in pixels, scores (N, K), labels (N, K)."""

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401 (any backend's tensors)
        return retinanet(ops, w, inputs[0], config)

    return Network("retinanet", own_interface(config.candidates), arrays, build)


def level_network(arrays: Mapping[str, NDArray[Any]], config: RetinaNetConfig) -> Network:
    """What the heads say of every anchor, `logits.0`, `deltas.0` and so on; it scales synthetic heads."""

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        return tuple(part for level in levels(ops, w, inputs[0], config) for part in (level.logits, level.deltas))

    outputs = tuple(
        Tensor(f"{kind}.{level}", "float32", (None, None, values))
        for level in range(len(SIZES))
        for kind, values in (("logits", config.classes), ("deltas", 4))
    )
    return Network("levels", Interface((IMAGES,), outputs), arrays, build)


def shapes(config: RetinaNetConfig) -> named_weights.Shapes:
    """Names and shapes of all weights of a network of this size."""
    return named_weights.declared(lambda ops, w: weights_of(ops, w, config))


def checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Network:
    """The network around *arrays*. Raises ModelFileError with every missing, unused or misshapen one."""
    config = config_of(arrays, source)
    named_weights.check(shapes(config), arrays, source)
    return network(arrays, config)
