"""RetinaNet on ResNeXt50-32x4d with a feature pyramid, written once over `ops`, with torchvision's weight names.

Source: mlcommons/training, single_stage_detector/ssd/model, the network behind MLPerf's official files.
"""

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.named_weights import Weights
from mlperf_docker.harness.api.ops import Ops
from mlperf_docker.harness.architectures.resnet50 import POOL_AS_TORCH, ResNetConfig, stages

T = TypeVar("T")

SIDE = 800
"""Height and width of the images that the network takes."""
ANCHORS = 9
TOP = 1000
"""Candidates that each level of the pyramid gives."""
SIZES = (32, 64, 128, 256, 512)
"""Of the smallest anchors of each level, in pixels."""
RATIOS = (0.5, 1.0, 2.0)
LARGEST_GROWTH = math.log(1000 / 16)
MEAN = np.array((0.485, 0.456, 0.406), dtype=np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), dtype=np.float32)


BODY = ResNetConfig(pool=POOL_AS_TORCH, groups=32, inner=2)
"""ResNeXt50-32x4d."""


@dataclass(frozen=True, slots=True)
class RetinaNetConfig:
    """Size of the network."""

    body: ResNetConfig = BODY
    channels: int = 256
    """Channels of the pyramid and the heads."""
    depth: int = 4
    """Convolutions of a head before its last."""
    classes: int = 264

    @property
    def candidates(self) -> int:
        """Detections that leave the network for each image."""
        return sum(min(TOP, len(anchors(level)) * self.classes) for level in range(len(SIZES)))


FULL = RetinaNetConfig()


@dataclass(frozen=True, slots=True)
class Level(Generic[T]):
    """Outputs of the heads for one level: logits (batch, anchors, classes) and deltas (batch, anchors, 4)."""

    logits: T
    deltas: T


def grids() -> tuple[int, ...]:
    """Cells on a side of each level: P3 to P5 divide by 8, 16 and 32; P6 and P7 halve, rounding up."""
    p3, p4, p5 = SIDE // 8, SIDE // 16, SIDE // 32
    p6 = (p5 + 1) // 2
    return p3, p4, p5, p6, (p6 + 1) // 2


def anchors(level: int) -> NDArray[np.float32]:
    """Anchors of a level, (cells · 9, 4) as left, top, right, bottom in pixels, row by row.

    In a cell the ratio (height / width) varies slowest. Corners around the origin are rounded to whole pixels, cells
    are SIDE // grid apart (61 and 114 pixels on the two coarsest levels), and there is no shift by half a cell.
    """
    grid = grids()[level]
    sizes = [int(SIZES[level] * 2 ** (third / 3)) for third in range(3)]
    tall = np.sqrt(np.array(RATIOS, dtype=np.float32))[:, None]
    scales = np.array(sizes, dtype=np.float32)[None, :]
    widths, heights = ((1 / tall) * scales).reshape(-1), (tall * scales).reshape(-1)
    base = (np.stack([-widths, -heights, widths, heights], axis=1) / 2).round()
    steps = np.arange(grid, dtype=np.float32) * (SIDE // grid)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    corners = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4) + base
    return np.ascontiguousarray(corners.reshape(-1, 4), dtype=np.float32)


def _conv(ops: Ops[T], w: Weights[T], x: T, name: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> T:
    """A convolution with bias from channels[0] to channels[1], padded so that only the stride makes it smaller."""
    source, out = channels
    weight, bias = w(f"{name}.weight", out, source, kernel, kernel), w(f"{name}.bias", out)
    return ops.conv2d(x, weight, bias, kernel=kernel, stride=stride, padding=kernel // 2)


def pyramid(ops: Ops[T], w: Weights[T], x: T, config: RetinaNetConfig) -> list[T]:
    """The five levels P3 to P7 of normalised images; P6 comes from P5, not from the last stage of the body."""
    width = config.channels

    def body(name: str, *shape: int) -> T:
        return w(f"backbone.body.{name}", *shape)

    found = stages(ops, body, x, config.body)[1:]
    sizes = config.body.stage_channels[1:]
    inner = [
        _conv(ops, w, part, f"backbone.fpn.inner_blocks.{number}", (size, width), 1)
        for number, (part, size) in enumerate(zip(found, sizes, strict=True))
    ]
    for finer in (1, 0):
        inner[finer] = ops.add(inner[finer], ops.upsample_nearest(inner[finer + 1], 2))
    same = (width, width)
    levels = [_conv(ops, w, part, f"backbone.fpn.layer_blocks.{n}", same, 3) for n, part in enumerate(inner)]
    levels.append(_conv(ops, w, levels[-1], "backbone.fpn.extra_blocks.p6", same, 3, stride=2))
    levels.append(_conv(ops, w, ops.relu(levels[-1]), "backbone.fpn.extra_blocks.p7", same, 3, stride=2))
    return levels


def _head(ops: Ops[T], w: Weights[T], x: T, name: str, config: RetinaNetConfig) -> T:
    """What the last convolution of a head is fed with; the odd indices of `conv` are the activations."""
    for number in range(config.depth):
        x = ops.relu(_conv(ops, w, x, f"{name}.conv.{2 * number}", (config.channels,) * 2, 3))
    return x


def _per_anchor(ops: Ops[T], w: Weights[T], x: T, name: str, channels: int, values: int) -> T:
    """The last convolution of a head as (batch, anchors, values)."""
    x = _conv(ops, w, x, name, (channels, ANCHORS * values), 3)
    return ops.reshape(ops.channels_last(x), -1, values)


def levels(ops: Ops[T], w: Weights[T], x: T, config: RetinaNetConfig) -> list[Level[T]]:
    """What the heads, shared by all levels, say of images (batch, 3, SIDE, SIDE) with values 0..1."""
    mean, deviation = ops.constant("transform.mean", MEAN), ops.constant("transform.deviation", DEVIATION)
    found = []
    for part in pyramid(ops, w, ops.standardize(ops.image(x), mean, deviation), config):
        kind, place = "head.classification_head", "head.regression_head"
        logits = _per_anchor(
            ops, w, _head(ops, w, part, kind, config), f"{kind}.cls_logits", config.channels, config.classes
        )
        deltas = _per_anchor(ops, w, _head(ops, w, part, place, config), f"{place}.bbox_reg", config.channels, 4)
        found.append(Level(logits, deltas))
    return found


def decode(ops: Ops[T], deltas: T, level: int) -> T:
    """Boxes (batch, anchors, 4) in pixels, clipped to the image, from what the network says of each anchor.

    Source: torchvision's BoxCoder with weights 1.
    """
    corners = anchors(level)
    size = corners[:, 2:] - corners[:, :2]
    tables = {"center": corners[:, :2] + 0.5 * size, "size": size}
    center, sides = (ops.constant(f"anchors.{level}.{key}", table[None]) for key, table in tables.items())
    center = ops.add(ops.mul(ops.slice(deltas, 0, 2), sides), center)
    growth = ops.exp(ops.clip(ops.slice(deltas, 2, 4), -math.inf, LARGEST_GROWTH))
    # Half of the new size: the halving goes into the table.
    reach = ops.mul(growth, ops.constant(f"anchors.{level}.half", 0.5 * size[None]))
    return ops.clip(ops.concat([ops.sub(center, reach), ops.add(center, reach)], axis=-1), 0.0, float(SIDE))


def best(ops: Ops[T], found: Level[T], level: int, classes: int) -> tuple[T, T, T]:
    """Boxes (batch, k, 4), logits (batch, k) and labels (batch, k) of the TOP best pairs of anchor and class.

    No pair can be among the best thousand unless its anchor's best class puts the anchor among the best thousand, so
    the whole table is only read once, for its maxima. Of equal pairs at the end any may be taken, as in a plain top-k.
    """
    rows = len(anchors(level))
    boxes, logits = decode(ops, found.deltas, level), found.logits
    if rows > TOP:
        _, chosen = ops.top_k(ops.reduce_max(logits), TOP)
        boxes, logits = ops.take(boxes, chosen), ops.take(logits, chosen)
        rows = TOP
    values, pairs = ops.top_k(ops.reshape(logits, rows * classes), min(TOP, rows * classes))
    return ops.take(boxes, ops.floor_divide(pairs, classes)), values, ops.remainder(pairs, classes)


def retinanet(ops: Ops[T], w: Weights[T], x: T, config: RetinaNetConfig = FULL) -> tuple[T, T, T]:
    """Boxes (batch, k, 4) in pixels, scores (batch, k) and labels (batch, k) of each image's best candidates.

    x: (batch, 3, SIDE, SIDE), red first, values 0..1. k is config.candidates: level by level, each by falling score.
    Left to do: the threshold, suppression of overlapping boxes, and the limit for an image.
    """
    parts = [best(ops, found, level, config.classes) for level, found in enumerate(levels(ops, w, x, config))]
    boxes, logits, labels = (list(part) for part in zip(*parts, strict=True))
    return ops.concat(boxes, axis=1), ops.sigmoid(ops.concat(logits, axis=1)), ops.concat(labels, axis=1)


def weights_of(ops: Ops[Any], w: Weights[Any], config: RetinaNetConfig) -> None:
    """Ask for every weight of a network of this size."""
    levels(ops, w, None, config)
