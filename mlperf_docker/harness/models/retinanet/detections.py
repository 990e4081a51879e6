"""Payload of detections: rows of seven float32 values, from a network's candidates or an official file's output.

A row is [sample, top, left, bottom, right, score, label], coordinates as a share of the image's side. Source:
mlcommons/inference, vision/classification_and_detection/python/openimages.py, PostProcessOpenImagesRetinanet.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.architectures.retinanet import SIDE

LEAST_SCORE = np.float32(0.05)
OVERLAP = np.float32(0.5)
LIMIT = 300
"""Detections that an image may have."""
VALUES = 7
"""Float32 values of a detection."""
WIDTH = LIMIT * VALUES
BLOCK = 512
"""Candidates that are compared at once: enough to fill 300 places in one go, and tables that stay in the cache."""

_YXYX = [1, 0, 3, 2]

Boxes = NDArray[np.float32]


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of pairs of boxes (pairs, 4), in float32; NaN for two boxes without area."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    sides = np.maximum(high - low, np.float32(0))
    common = sides[:, 0] * sides[:, 1]
    with np.errstate(invalid="ignore"):
        ratio: NDArray[np.float32] = common / (areas(a) + areas(b) - common)
    return ratio


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Areas of boxes (n, 4)."""
    sides: NDArray[np.float32] = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def _survivors(boxes: Boxes, labels: NDArray[Any], kept: int) -> NDArray[np.bool_]:
    """Which of the boxes after the first *kept* stay, each being dropped if one before it that stays overlaps it.

    The first *kept* stay anyway. Dropping is repeated until nothing changes: after as many rounds as the longest chain
    of boxes that drop each other, which is short, this is what going through them one by one gives.
    """
    first, second = np.nonzero(labels[:, None] == labels[None, kept:])
    second += kept
    ahead = first < second
    first, second = first[ahead], second[ahead]
    close = overlaps(boxes[first], boxes[second]) > OVERLAP
    first, second = first[close], second[close]
    stays = np.ones(len(boxes), dtype=np.bool_)
    while True:
        again = np.ones(len(boxes), dtype=np.bool_)
        again[second[stays[first]]] = False
        if (again == stays).all():
            return stays[kept:]
        stays = again


def suppress(boxes: Boxes, labels: NDArray[Any], limit: int = LIMIT) -> NDArray[np.intp]:
    """Numbers of the boxes that stay, at most *limit*, in their order.

    boxes, labels: (n, 4) and (n,), by falling score. A box goes if one of its own label that stays, and comes before
    it, overlaps it by more than half. As that never depends on what comes later, blocks are worked off in order, and
    what is left when enough have been found is not looked at.
    """
    kept: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
    for start in range(0, len(boxes), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(boxes)))
        both = np.concatenate([kept, block])
        stays = _survivors(boxes[both], labels[both], len(kept))
        kept = np.concatenate([kept, block[stays]])
        if len(kept) >= limit:
            break
    return kept[:limit]


def select(boxes: Boxes, scores: NDArray[np.float32], labels: NDArray[Any]) -> NDArray[np.intp]:
    """Numbers of an image's candidates that are its detections, by falling score; of equals the first comes first."""
    likely = np.flatnonzero(scores > LEAST_SCORE)
    likely = likely[np.argsort(-scores[likely], kind="stable")]
    return likely[suppress(boxes[likely], labels[likely])]


def write(boxes: Boxes, scores: NDArray[np.float32], labels: NDArray[Any], sample: int, out: NDArray[Any]) -> int:
    """Write detections into the front of *out*, a payload; give the number of values."""
    rows = out[: len(boxes) * VALUES].reshape(len(boxes), VALUES)
    rows[:, 0] = sample
    np.divide(boxes[:, _YXYX], np.float32(SIDE), out=rows[:, 1:5])
    rows[:, 5] = scores
    rows[:, 6] = labels
    return rows.size


def of_candidates(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> list[int]:
    """Payloads from a network's candidates: boxes (batch, k, 4), scores (batch, k), labels (batch, k)."""
    lengths = []
    for sample, row, boxes, scores, labels in zip(samples, out, *outputs, strict=True):
        kept = select(boxes, scores, labels)
        lengths.append(write(boxes[kept], scores[kept], labels[kept], sample, row))
    return lengths


def of_detections(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> list[int]:
    """Payloads from an official file's detections, which are suppressed already and ordered by falling score.

    boxes (batch, n, 4), scores (batch, n), labels (batch, n), zeros behind an image's last. Those before the first one
    with too low a score count.
    """
    lengths = []
    for sample, row, boxes, scores, labels in zip(samples, out, *outputs, strict=True):
        low = scores < LEAST_SCORE
        count = min(int(low.argmax()) if low.any() else len(scores), LIMIT)
        lengths.append(write(boxes[:count], scores[:count], labels[:count], sample, row))
    return lengths
