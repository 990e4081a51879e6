"""Area under the ROC curve from LoadGen's accuracy log, as upstream's accuracy-dlrm.py computes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import DatasetError, SampleError
from mlperf_docker.harness.models.dlrm.dataset import Criteo
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.samples.accuracy_log import LoggedAnswer


@dataclass(frozen=True, slots=True)
class AucScore:
    """Values of upstream's line."""

    area: float
    """Area under the curve, 0 to 1."""
    good: int
    """Number of rows whose rounded prediction is right."""
    total: int
    """Number of rows."""
    queries: int

    @property
    def percent(self) -> float:
        """The area in percent."""
        return 100.0 * self.area

    def __str__(self) -> str:
        share = 100.0 * self.good / self.total
        counts = f"good={self.good}, total={self.total}, queries={self.queries}"
        return f"AUC={self.percent:.3f}%, accuracy={share:.3f}%, {counts}"


def area(predictions: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """Share of pairs of a click and a non-click in which the click has the higher prediction; equal ones count half.

    predictions: none negative. labels: 0 or 1. Counted in whole numbers, so nothing is rounded before the last
    division. Raises DatasetError where all labels are the same.

    One sort of numbers that hold both: the bits of a float that is not negative are in the order of its values.
    """
    keys = (predictions + np.float32(0)).view(np.uint32).astype(np.uint64)  # + 0 makes -0.0 the other zero
    keys <<= np.uint64(1)
    keys |= (labels == 1).astype(np.uint64)
    keys.sort()
    clicks = (keys & np.uint64(1)).astype(np.int64)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(keys >> np.uint64(1))) + 1))
    positive = np.add.reduceat(clicks, starts)
    negative = np.diff(np.append(starts, len(keys))) - positive
    total, other = int(positive.sum()), int(negative.sum())
    if not total or not other:
        raise DatasetError(f"all {len(keys)} rows have the same label: there is no area under a curve")
    below = np.cumsum(negative) - negative
    twice = int((positive * (2 * below + negative)).sum())
    return twice / (2 * total * other)


def read_log(log: Path, dataset: Criteo) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Predictions and labels of all rows, and the number of samples; the first answer to a sample counts.

    Raises SampleError for an answer that cannot be: of another length, or with labels that the rows do not have.
    """
    predictions = np.empty(len(dataset.rows), dtype=np.float32)
    labels = np.empty(len(dataset.rows), dtype=np.float32)
    seen, at = set(), 0
    for answer in accuracy_log.answers(log):
        index = answer.sample
        if index in seen:
            continue
        seen.add(index)
        if not 0 <= index < dataset.count:
            raise SampleError(f"{log} has sample {index}, which the data set of {dataset.count} samples does not")
        pairs = _pairs(log, answer)
        expected = dataset.labels[dataset.bounds[index] : dataset.bounds[index + 1]]
        if len(pairs) != len(expected) or (pairs[:, 1] != expected).any():
            raise SampleError(f"{log}: the answer to sample {index} is not that of its {len(expected)} rows")
        if not (pairs[:, 0] >= 0).all():
            raise SampleError(f"{log}: the answer to sample {index} has a probability that is none")
        predictions[at : at + len(pairs)], labels[at : at + len(pairs)] = pairs[:, 0], pairs[:, 1]
        at += len(pairs)
    return predictions[:at], labels[:at], len(seen)


def _pairs(log: Path, answer: LoggedAnswer) -> NDArray[np.float32]:
    """Prediction and label of each row of an answer, (rows, 2)."""
    try:
        return np.frombuffer(answer.data, dtype=np.float32).reshape(-1, 2)
    except ValueError as error:
        raise SampleError(f"{log}: the answer to sample {answer.sample} is no list of pairs: {error}") from error


def score(log: Path, dataset: Criteo) -> AucScore:
    """Compare the predictions with what happened.

    Source: mlcommons/inference, recommendation/dlrm/pytorch/tools/accuracy-dlrm.py.
    """
    predictions, labels, queries = read_log(log, dataset)
    return measure(predictions, labels, queries)


def measure(predictions: NDArray[np.float32], labels: NDArray[Any], queries: int) -> AucScore:
    """The score of these rows; a half is rounded to 0, as numpy does. Raises SampleError where there are none."""
    if not len(predictions):
        raise SampleError("no row was answered")
    good = int((np.round(predictions) == labels).sum())
    return AucScore(area(predictions, labels), good, len(predictions), queries)
