"""3D-UNet for KiTS19, written once over `ops`, with the official PyTorch checkpoint's weight names.

Source: mlcommons/inference, vision/medical_imaging/3d-unet-kits19, the network behind the official files.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from mlperf_docker.harness.api.named_weights import Weights
from mlperf_docker.harness.api.ops import Ops

T = TypeVar("T")

CLASSES = 3
"""Background, kidney, tumour."""
ROI = 128
"""Length of the windows' edges, in voxels."""


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Size of the network.

    The bottleneck halves once more, so the edges of a window must divide by 2 ** len(filters).
    """

    filters: tuple[int, ...] = (32, 64, 128, 256, 320)
    """Channels of each resolution, the finest first; each halves the one before."""


FULL = UNetConfig()


def _conv(ops: Ops[T], w: Weights[T], x: T, name: str, channels: tuple[int, int], stride: int = 1) -> T:
    """A convolution from channels[0] to channels[1], normalised, without its negative values."""
    source, out = channels
    x = ops.conv3d(x, w(f"{name}.0.weight", out, source, 3, 3, 3), kernel=3, stride=stride, padding=1)
    return ops.relu(ops.instance_norm(x, w(f"{name}.1.weight", out), w(f"{name}.1.bias", out)))


def _down(ops: Ops[T], w: Weights[T], x: T, name: str, channels: tuple[int, int], stride: int) -> T:
    """Two convolutions; the stride is the first one's."""
    x = _conv(ops, w, x, f"{name}.conv1", channels, stride)
    return _conv(ops, w, x, f"{name}.conv2", (channels[1], channels[1]))


def _up(ops: Ops[T], w: Weights[T], x: T, skip: T, name: str, channels: tuple[int, int]) -> T:
    """Twice the resolution, what the way down had there beside it, and two convolutions."""
    source, out = channels
    up = f"{name}.upsample_conv.0"
    x = ops.conv_transpose3d(x, w(f"{up}.weight", source, out, 2, 2, 2), w(f"{up}.bias", out), kernel=2)
    x = _conv(ops, w, ops.join([x, skip]), f"{name}.conv1", (2 * out, out))
    return _conv(ops, w, x, f"{name}.conv2", (out, out))


def unet3d(ops: Ops[T], w: Weights[T], x: T, config: UNetConfig = FULL) -> T:
    """Logits (batch, CLASSES, depth, height, width) of windows (batch, 1, depth, height, width)."""
    filters = config.filters
    x = _down(ops, w, ops.volume(x), "input_block", (1, filters[0]), 1)
    skips = [x]
    for level, channels in enumerate(pairwise(filters)):
        x = _down(ops, w, x, f"downsample.{level}", channels, 2)
        skips.append(x)
    x = _down(ops, w, x, "bottleneck", (filters[-1], filters[-1]), 2)
    for level, channels in enumerate(pairwise((filters[-1], *filters[::-1]))):
        x = _up(ops, w, x, skips.pop(), f"upsample.{level}", channels)
    weight, bias = w("output.conv.0.weight", CLASSES, filters[0], 1, 1, 1), w("output.conv.0.bias", CLASSES)
    return ops.channels_first(ops.conv3d(x, weight, bias, kernel=1))


def weights_of(ops: Ops[Any], w: Weights[Any], config: UNetConfig) -> None:
    """Ask for every weight of a network of this size."""
    unet3d(ops, w, None, config)
