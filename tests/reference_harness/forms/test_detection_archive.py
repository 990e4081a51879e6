"""Detection archives: what TorchScript chooses of candidates is what our own suppression chooses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.retinanet import SIDE
from mlperf_docker.harness.models.retinanet.detections import select
from mlperf_docker.harness.models.retinanet.network import own_interface

torch = pytest.importorskip("torch")
detection_archive = pytest.importorskip("mlperf_docker.reference_harness.forms.detection_archive")

CANDIDATES, CLASSES = 400, 5


def candidates() -> Network:
    """A network whose input is candidates: box, score and label in a row of six."""

    def build(ops: Any, weights: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        (rows,) = inputs
        score, label = (ops.reshape(ops.slice(rows, place, place + 1), CANDIDATES) for place in (4, 5))
        return ops.clip(ops.slice(rows, 0, 4), 0.0, float(SIDE)), score, label

    rows = Tensor("rows", "float32", (None, CANDIDATES, 6))
    return Network("candidates", Interface((rows,), own_interface(CANDIDATES).outputs), {}, build)


@pytest.mark.parametrize("images", [1, 3])
def test_a_detection_archive_keeps_what_our_suppression_keeps(images: int, tmp_path: Path) -> None:
    detection_archive.write(candidates(), tmp_path / "model.pth")
    rng = np.random.default_rng(images)
    low = rng.uniform(0, 600, (images, CANDIDATES, 2)).astype(np.float32)
    boxes = np.concatenate([low, low + rng.uniform(60, 200, low.shape).astype(np.float32)], axis=2)
    scores = rng.choice(np.linspace(0, 1, 100, dtype=np.float32), (images, CANDIDATES))
    labels = rng.integers(0, CLASSES, (images, CANDIDATES))
    rows = np.concatenate([boxes, scores[..., None], labels[..., None].astype(np.float32)], axis=2)
    found = torch.load(tmp_path / "model.pth", weights_only=False)(torch.from_numpy(rows))
    assert len(found) == images
    for image, detections in enumerate(found):
        kept = select(boxes[image], scores[image], labels[image])
        assert 50 < len(kept) < CANDIDATES
        for name, known in {"boxes": boxes, "labels": labels, "scores": scores}.items():
            np.testing.assert_array_equal(detections[name].numpy(), known[image][kept], err_msg=name)
