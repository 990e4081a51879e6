"""Agreement of two backends' detections."""

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.api.scores import Parity
from mlperf_docker.harness.architectures.retinanet import SIDE
from mlperf_docker.harness.models.retinanet.detections import overlaps, select

SAME_BOX = 0.99
"""Least intersection over union of a detection with its counterpart."""


def compare(ours: Named, theirs: Named) -> Parity:
    """Match each image's detections one to one; both hold boxes (n, k, 4), scores (n, k) and labels (n, k).

    agreement: share of detections, of both sides together, with a counterpart of the same label in the same place.
    Where neither has a detection, they agree on nothing.
    largest_difference: of any coordinate of a matched pair, relative to the image's side, or of its scores.
    """
    matched, total, largest = 0, 0, 0.0
    for row in range(len(ours["boxes"])):
        (boxes, scores, labels), others = _detections(ours, row), _detections(theirs, row)
        first, second = match(boxes, labels, others[0], others[2])
        matched += 2 * len(first)
        total += len(boxes) + len(others[0])
        apart = np.abs(boxes[first] - others[0][second]) / SIDE
        largest = max(largest, float(apart.max(initial=0)))
        largest = max(largest, float(np.abs(scores[first] - others[1][second]).max(initial=0)))
    return Parity(largest, matched / total if total else 0.0)


def _detections(side: Named, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    boxes, scores, labels = (side[key][row] for key in ("boxes", "scores", "labels"))
    kept = select(boxes, scores, labels)
    return boxes[kept], scores[kept], labels[kept]


def match(
    boxes: NDArray[np.float32], labels: NDArray[np.int64], others: NDArray[np.float32], theirs: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of pairs of the same label and place; each number comes up once on its side.

    Detections of one label that survived suppression overlap by half at most, so a box has one counterpart or none.
    """
    first, second = np.nonzero(labels[:, None] == theirs[None, :])
    near = overlaps(boxes[first], others[second]) >= SAME_BOX
    return first[near], second[near]
