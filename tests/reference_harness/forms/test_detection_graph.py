"""Detection graphs: what onnxruntime chooses of candidates is what our own suppression chooses."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.retinanet import ANCHORS
from mlperf_docker.harness.models.retinanet.detections import select
from mlperf_docker.harness.models.retinanet.network import own_interface
from mlperf_docker.reference_harness.forms import detection_graph

CANDIDATES, CLASSES = 400, 5


def candidates() -> Network:
    """A network whose candidates are its inputs."""

    def build(ops: Any, weights: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        boxes, scores, labels = inputs
        return ops.clip(boxes, 0.0, 800.0), ops.clip(scores, 0.0, 1.0), ops.remainder(labels, CLASSES)

    outputs = own_interface(CANDIDATES).outputs
    inputs = tuple(Tensor(f"given.{each.name}", each.dtype, each.shape) for each in outputs)
    logits = np.zeros((ANCHORS * CLASSES, 1, 1, 1), np.float32)
    return Network("candidates", Interface(inputs, outputs), {detection_graph._LOGITS: logits}, build)


def test_a_detection_graph_keeps_what_our_suppression_keeps(tmp_path: Path) -> None:
    detection_graph.write(candidates(), tmp_path / "model.onnx")
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 600, (1, CANDIDATES, 2)).astype(np.float32)
    boxes = np.concatenate([low, low + rng.uniform(60, 200, low.shape).astype(np.float32)], axis=2)
    scores = rng.uniform(0, 1, (1, CANDIDATES)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (1, CANDIDATES))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    given = {"given.boxes": boxes, "given.scores": scores, "given.labels": labels}
    found = session.run(["boxes", "labels", "scores"], given)
    kept = select(boxes[0], scores[0], labels[0])
    assert 50 < len(kept) < CANDIDATES
    for ours, theirs in zip((boxes[0][kept], labels[0][kept], scores[0][kept]), found, strict=True):
        np.testing.assert_array_equal(theirs, ours)
