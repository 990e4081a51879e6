"""ResNet-50 v1.5 and ResNeXt-50, written once over `ops`, with torchvision's weight names."""

from dataclasses import dataclass
from typing import TypeVar

from mlperf_docker.harness.api.named_weights import Weights
from mlperf_docker.harness.api.ops import Ops

T = TypeVar("T")

POOL_AS_TENSORFLOW = (0, 0, 1, 1)
POOL_AS_TORCH = (1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """Size and variant of the network."""

    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1001
    """Number of classes: 1001 for TensorFlow's weights (index 0 is the background), 1000 for torchvision's."""
    pool: tuple[int, int, int, int] = POOL_AS_TENSORFLOW
    """Padding of the only max pool. TensorFlow's SAME pads below and right of a 112 x 112 map and nothing before it;
    torchvision pads all around, which shifts the windows by a pixel."""
    groups: int = 1
    """Groups of the 3x3 convolutions: 32 in ResNeXt-32x4d."""
    inner: int = 1
    """Width of the 3x3 convolutions, relative to ResNet: 2 in ResNeXt-32x4d."""

    @property
    def features(self) -> int:
        """Channels that reach the classifier."""
        return self.stage_channels[-1]

    @property
    def stage_channels(self) -> tuple[int, int, int, int]:
        """Channels that leave each stage."""
        return (self.width * 4, self.width * 8, self.width * 16, self.width * 32)


FULL = ResNetConfig()


def _norm(ops: Ops[T], w: Weights[T], x: T, name: str, channels: int) -> T:
    parts = ("weight", "bias", "running_mean", "running_var")
    scale, bias, mean, variance = (w(f"{name}.{part}", channels) for part in parts)
    return ops.batch_norm(x, scale, bias, mean, variance)


@dataclass(frozen=True, slots=True)
class _Block:
    """Channels that enter, those of the 3x3 convolution, and those that leave."""

    channels: int
    width: int
    out: int
    groups: int
    stride: int


def _bottleneck(ops: Ops[T], w: Weights[T], x: T, name: str, block: _Block) -> T:
    """One block. The stride is in the 3x3 convolution: that is what v1.5 changed against v1 (there: the first 1x1)."""
    channels, width, out, stride = block.channels, block.width, block.out, block.stride
    y = ops.conv2d(x, w(f"{name}.conv1.weight", width, channels, 1, 1), kernel=1)
    y = ops.relu(_norm(ops, w, y, f"{name}.bn1", width))
    kernels = w(f"{name}.conv2.weight", width, width // block.groups, 3, 3)
    y = ops.conv2d(y, kernels, kernel=3, stride=stride, padding=1, groups=block.groups)
    y = ops.relu(_norm(ops, w, y, f"{name}.bn2", width))
    y = ops.conv2d(y, w(f"{name}.conv3.weight", out, width, 1, 1), kernel=1)
    y = _norm(ops, w, y, f"{name}.bn3", out)
    if channels != out or stride != 1:
        x = ops.conv2d(x, w(f"{name}.downsample.0.weight", out, channels, 1, 1), kernel=1, stride=stride)
        x = _norm(ops, w, x, f"{name}.downsample.1", out)
    return ops.relu(ops.add(x, y))


def stages(ops: Ops[T], w: Weights[T], x: T, config: ResNetConfig) -> list[T]:
    """What leaves each of the four stages: images of 1/4, 1/8, 1/16 and 1/32 of the size of the image *x*.

    Source: torchvision's resnet.py for the names, and the official TensorFlow graph for the padding (v1.5).
    """
    x = ops.conv2d(x, w("conv1.weight", config.width, 3, 7, 7), kernel=7, stride=2, padding=3)
    x = ops.relu(_norm(ops, w, x, "bn1", config.width))
    x = ops.max_pool2d(x, kernel=3, stride=2, padding=config.pool)
    channels, found = config.width, []
    for stage, (count, out) in enumerate(zip(config.blocks, config.stage_channels, strict=True)):
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            block = _Block(channels, out // 4 * config.inner, out, config.groups, stride)
            x = _bottleneck(ops, w, x, f"layer{stage + 1}.{number}", block)
            channels = out
        found.append(x)
    return found


def features(ops: Ops[T], w: Weights[T], x: T, config: ResNetConfig = FULL) -> T:
    """Pooled features, (batch, config.features), of images (batch, 3, height, width)."""
    return ops.global_avg_pool(stages(ops, w, ops.image(x), config)[-1])


def resnet50(ops: Ops[T], w: Weights[T], x: T, config: ResNetConfig = FULL) -> T:
    """Logits, (batch, config.classes), of images (batch, 3, height, width)."""
    pooled = features(ops, w, x, config)
    return ops.linear(pooled, w("fc.weight", config.classes, config.features), w("fc.bias", config.classes))
