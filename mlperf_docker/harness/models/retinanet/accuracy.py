"""mAP from LoadGen's accuracy log, as upstream's accuracy-openimages.py computes it, with COCO's own evaluation."""

import contextlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.models.retinanet.dataset import Annotations, OpenImages
from mlperf_docker.harness.models.retinanet.detections import VALUES

LARGEST_AREA = 1e10
"""COCO's range for boxes of every size."""
DETECTIONS = 100
"""Detections of one class that count in an image."""


@dataclass(frozen=True, slots=True)
class MeanPrecision:
    """Mean average precision over IoU .50 to .95 and all classes that the seen images show, 0 to 1."""

    value: float

    @property
    def percent(self) -> float:
        """The same in percent."""
        return 100.0 * self.value

    def __str__(self) -> str:
        return f"mAP={self.percent:.3f}%"


@dataclass(frozen=True, slots=True)
class LoggedDetections:
    """Detections.

    A row is image id, left, top, width, height, score, label.
    """

    seen: NDArray[np.int64]
    """Positions of the images that were answered."""
    rows: NDArray[np.float64]
    """(n, 7) as COCO's loadRes takes them."""


def read_log(log: Path, dataset: OpenImages) -> LoggedDetections:
    """Detections out of mlperf_log_accuracy.json; the first answer to a sample counts. Raises SampleError.

    Coordinates are multiplied in float32 with the height and width that the annotations name, as upstream does it. An
    empty payload is an image in which nothing was found.
    """
    answers: dict[int, str] = {}
    for entry in json.loads(log.read_text(encoding="utf-8")):
        answers.setdefault(entry["qsl_idx"], entry["data"])
    seen = np.array(list(answers), dtype=np.int64)
    if len(seen) and not 0 <= seen.min() <= seen.max() < dataset.count:
        raise SampleError(f"{log} has samples that the data set of {dataset.count} images does not")
    try:
        return found(seen, [np.frombuffer(bytes.fromhex(data), dtype=np.float32) for data in answers.values()], dataset)
    except ValueError as error:
        raise SampleError(f"{log} has answers that cannot be: {error}") from error


def found(seen: NDArray[np.int64], payloads: Sequence[NDArray[np.float32]], dataset: OpenImages) -> LoggedDetections:
    """The detections in one payload for each sample *seen*. Raises ValueError for a payload that is none of its."""
    lengths = np.array([len(payload) for payload in payloads], dtype=np.int64)
    if (lengths % VALUES).any():
        raise ValueError(f"sample {seen[lengths % VALUES > 0][0]} has a part of a detection")
    values = np.concatenate([np.zeros(0, dtype=np.float32), *payloads]).reshape(-1, VALUES)
    images = np.repeat(seen, lengths // VALUES)
    mixed = images != values[:, 0]
    if mixed.any():
        raise ValueError(f"sample {images[mixed][0]} has a detection of sample {values[mixed, 0][0]:.0f}")
    return LoggedDetections(seen, _in_pixels(images, values, dataset))


def _in_pixels(images: NDArray[np.int64], values: NDArray[np.float32], dataset: OpenImages) -> NDArray[np.float64]:
    extents = dataset.extents[images].astype(np.float32)
    top, left, bottom, right = (values[:, 1 + side] * extents[:, side % 2] for side in range(4))
    numbers = np.array(dataset.numbers, dtype=np.float64)[images]
    columns = (numbers, left, top, right - left, bottom - top, values[:, 5], values[:, 6])
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def score(log: Path, dataset: OpenImages) -> MeanPrecision:
    """Compare the answers with the annotations of the images that were answered.

    Source: mlcommons/inference, vision/classification_and_detection/tools/accuracy-openimages.py.
    """
    return evaluate(read_log(log, dataset), dataset)


def evaluate(answered: LoggedDetections, dataset: OpenImages) -> MeanPrecision:
    """The mean over all classes that the seen images show; 0 where they show none.

    Each class is evaluated by itself, on the images that have to do with it. That is the same as all at once, where
    all others contribute nothing, but it does not visit 264 classes times 24781 images in Python four times over.
    """
    drawn = dataset.annotations.of(np.isin(dataset.annotations.image, answered.seen))
    classes = np.unique(drawn.category)
    parts = []
    for category in classes:
        truth = drawn.of(drawn.category == category)
        parts.append(_precisions(truth, answered.rows[answered.rows[:, 6] == category], int(category), dataset))
    values = np.concatenate([np.zeros(0), *parts])
    return MeanPrecision(float(values.mean()) if len(values) else 0.0)


def _precisions(truth: Annotations, rows: NDArray[np.float64], category: int, dataset: OpenImages) -> NDArray[Any]:
    """Precision of one class at every IoU threshold and recall; nothing where all its boxes hold groups."""
    from pycocotools.cocoeval import COCOeval

    numbers = np.array(dataset.numbers, dtype=np.int64)
    images = sorted({*numbers[truth.image].tolist(), *rows[:, 0].astype(np.int64).tolist()})
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does, where our events go
        expected = _coco(images, category, _entries(truth, numbers))
        given = expected.loadRes(rows) if len(rows) else _coco(images, category, ())
        evaluation = COCOeval(expected, given, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, LARGEST_AREA]], ["all"]
        evaluation.params.maxDets = [DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: NDArray[Any] = evaluation.eval["precision"]
    return precision[precision > -1]


def _entries(truth: Annotations, numbers: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Annotations as COCO has them."""
    columns = (truth.number, numbers[truth.image], truth.category, truth.box, truth.area, truth.crowd)
    keys = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    return [dict(zip(keys, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _coco(images: Iterable[int], category: int, entries: Iterable[dict[str, Any]]) -> Any:  # noqa: ANN401 (untyped)
    """An index of COCO's over *entries*."""
    from pycocotools.coco import COCO

    index = COCO()
    index.dataset = {
        "images": [{"id": number} for number in images],
        "categories": [{"id": category}],
        "annotations": list(entries),
    }
    index.createIndex()
    return index
