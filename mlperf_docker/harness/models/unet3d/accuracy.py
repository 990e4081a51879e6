"""Mean Dice from LoadGen's accuracy log, as upstream's accuracy_kits.py computes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import SampleError, first_ten
from mlperf_docker.harness.models.unet3d.preprocess import Volumes
from mlperf_docker.harness.samples import accuracy_log

SMOOTHING = 1e-6
"""Added above and below the line: a class that neither has counts as found."""

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Dice:
    """Dice of kidney and tumour in each case, 0 to 1."""

    kidney: tuple[float, ...]
    tumour: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the cases of the two's mean."""
        return float(np.mean([(kidney + tumour) / 2 for kidney, tumour in zip(self.kidney, self.tumour, strict=True)]))

    def __str__(self) -> str:
        kidney, tumour = np.mean(self.kidney), np.mean(self.tumour)
        return f"Accuracy: mean = {self.mean:.5f}, kidney = {kidney:.4f}, tumor = {tumour:.4f}"


def dice(found: Labels, truth: Labels) -> tuple[float, float]:
    """Dice of kidney (1) and tumour (2) in one case; both arrays of one shape."""
    values = []
    for label in (1, 2):
        ours, theirs = found == label, truth == label
        total = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
        common = int(np.count_nonzero(np.logical_and(ours, theirs, out=ours)))
        values.append((2.0 * common + SMOOTHING) / (total + SMOOTHING))
    return values[0], values[1]


def score(log: Path, volumes: Volumes, *, part: bool = False) -> Dice:
    """Compare each case's answer, the first if there are several, with its marks.

    part: whether cases may be missing, which do not count then. Raises SampleError unless every case is answered, each
    with a label for each of its voxels.
    Source: mlcommons/inference, vision/medical_imaging/3d-unet-kits19/accuracy_kits.py.
    """
    found: dict[int, tuple[float, float]] = {}
    for index, labels in _labels(log):
        if not 0 <= index < volumes.count:
            raise SampleError(f"{log} answers sample {index}; the data set has {volumes.count}")
        if index not in found:
            truth = volumes.marks[index]
            if labels.size != truth.size:
                name = volumes.names[index]
                raise SampleError(f"{log} has {labels.size} labels for {name}, which has {truth.size} voxels")
            if labels.max(initial=0) > 2:
                raise SampleError(f"{log} has the label {labels.max()} for {volumes.names[index]}; there are 0, 1, 2")
            found[index] = dice(labels.reshape(truth.shape), truth)
    missing = [name for index, name in enumerate(volumes.names) if index not in found]
    if missing and (not part or not found):
        raise SampleError(f"{log} lacks {len(missing)} of {volumes.count} cases", details=first_ten(missing))
    return of_cases([found[index] for index in sorted(found)])


def _labels(log: Path) -> Iterator[tuple[int, Labels]]:
    for answer in accuracy_log.answers(log):
        yield answer.sample, np.frombuffer(answer.data, dtype=np.uint8)


def of_cases(values: Sequence[tuple[float, float]]) -> Dice:
    """Kidney and tumour of each case, put together."""
    kidney, tumour = zip(*values, strict=True)
    return Dice(tuple(kidney), tuple(tumour))
