"""Suppression and payloads, against a loop that goes through the boxes one by one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.models.retinanet import detections
from mlperf_docker.harness.models.retinanet.parity import compare

Array = NDArray[Any]


def naive(boxes: Array, scores: Array, labels: Array) -> list[int]:
    kept: list[int] = []
    for number in sorted((n for n in range(len(scores)) if scores[n] > np.float32(0.05)), key=lambda n: -scores[n]):
        same = [other for other in kept if labels[other] == labels[number]]
        if not any(overlap(boxes[other], boxes[number]) > np.float32(0.5) for other in same):
            kept.append(number)
    return kept[:300]


def overlap(a: Array, b: Array) -> np.float32:
    zero = np.float32(0)
    common = max(min(a[2], b[2]) - max(a[0], b[0]), zero) * max(min(a[3], b[3]) - max(a[1], b[1]), zero)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return np.float32(common / whole) if whole > 0 else zero


def random(count: int, classes: int, spread: float, seed: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    corners = (rng.random((count, 2)) * spread).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.integers(5, 100, (count, 2))], axis=1, dtype=np.float32)
    # Few different scores: ties.
    return boxes, rng.integers(0, 60, count).astype(np.float32) / 60, rng.integers(0, classes, count)


@pytest.mark.parametrize(("count", "classes"), [(0, 3), (1, 1), (40, 1), (400, 5), (1600, 200), (1600, 1), (3000, 3)])
@pytest.mark.parametrize("spread", [15, 150, 700])
def test_suppression_is_that_of_the_loop(count: int, classes: int, spread: float) -> None:
    candidates = random(count, classes, spread, count + classes)
    np.testing.assert_array_equal(detections.select(*candidates), naive(*candidates))


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = np.array([[0, 0, 30, 10], [10, 0, 40, 10], [20, 0, 50, 10], [30, 0, 60, 10]], dtype=np.float32)
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32), np.zeros(4, dtype=np.int64)
    assert overlap(boxes[0], boxes[1]) == np.float32(0.5)
    assert detections.select(boxes, scores, labels).tolist() == [0, 1, 2, 3]
    boxes[:, 2] += 1
    assert detections.select(boxes, scores, labels).tolist() == [0, 2]
    assert detections.select(boxes, scores, np.arange(4)).tolist() == [0, 1, 2, 3]


def test_boxes_without_area_stay() -> None:
    boxes = np.zeros((3, 4), dtype=np.float32)
    assert len(detections.select(boxes, np.full(3, 0.5, dtype=np.float32), np.zeros(3, dtype=np.int64))) == 3


def test_the_threshold_itself_is_too_low_for_a_candidate() -> None:
    boxes, labels = np.zeros((2, 4), dtype=np.float32), np.arange(2)
    low = np.float32(0.05)
    scores = np.array([low, np.nextafter(low, np.float32(1))], dtype=np.float32)
    assert detections.select(boxes, scores, labels).tolist() == [1]


def payload(make: Any, outputs: tuple[Array, ...], samples: list[int]) -> list[list[float]]:
    out = np.full((len(samples), detections.WIDTH), -1, dtype=np.float32)
    lengths = make(outputs, samples, out)
    assert all((row[length:] == -1).all() for row, length in zip(out, lengths, strict=True))
    return [row[:length].tolist() for row, length in zip(out, lengths, strict=True)]


def test_rows_are_upstreams() -> None:
    boxes = np.array([[[8, 16, 80, 400], [0, 0, 1, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]], dtype=np.float32)
    scores = np.array([[0.75, 0.01], [0.02, 0.0]], dtype=np.float32)
    labels = np.array([[263, 1], [1, 1]], dtype=np.int64)
    row: list[Any] = [12, np.float32(0.02), np.float32(0.01), 0.5, np.float32(0.1), 0.75, 263]
    for make in (detections.of_candidates, detections.of_detections):
        assert payload(make, (boxes, scores, labels), [12, 4]) == [[float(np.float32(value)) for value in row], []]


def test_an_official_files_detections_end_at_the_first_low_score() -> None:
    boxes, labels = np.zeros((1, 4, 4), dtype=np.float32), np.arange(4)[None]
    scores = np.array([[0.9, 0.05, 0.04, 0.8]], dtype=np.float32)
    (row,) = payload(detections.of_detections, (boxes, scores, labels), [0])
    assert row[6::7] == [0, 1]


def test_parity_matches_boxes_whatever_their_order() -> None:
    boxes, scores, labels = random(50, 3, 700, 1)
    ours = {"boxes": boxes[None], "scores": scores[None], "labels": labels[None]}
    turned = {"boxes": boxes[None, ::-1] + np.float32(0.01), "scores": scores[None, ::-1], "labels": labels[None, ::-1]}
    same = compare(ours, turned)
    assert same.agreement == 1.0
    assert 1e-6 < same.largest_difference < 1e-4
    others = {**ours, "labels": labels[None] + 1}
    assert compare(ours, others).agreement < 0.1
    shifted = {**ours, "boxes": boxes[None] + 20}
    assert compare(ours, shifted).agreement < 0.1
    assert compare({**ours, "scores": scores[None] * np.nan}, ours).agreement == 0.0
