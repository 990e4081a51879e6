"""Top-1 accuracy from LoadGen's accuracy log, as upstream's accuracy-imagenet.py computes it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlperf_docker.harness.api.errors import SampleError


@dataclass(frozen=True, slots=True)
class Top1:
    """Number of distinct samples answered, and of those answered rightly."""

    good: int
    total: int

    @property
    def percent(self) -> float:
        """Accuracy in percent; 0 where nothing was answered."""
        return 100.0 * self.good / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"accuracy={self.percent:.3f}%, good={self.good}, total={self.total}"


def score(log: Path, labels: Sequence[int]) -> Top1:
    """Compare each first answer to a sample with its label.

    log: mlperf_log_accuracy.json; a payload is one float32, the label. Later answers to the same sample are skipped.
    Raises SampleError for an empty payload: a sample that was not answered is a failure, not a wrong answer.
    Source: mlcommons/inference, vision/classification_and_detection/tools/accuracy-imagenet.py.
    """
    answers: dict[int, str] = {}
    for entry in json.loads(log.read_text(encoding="utf-8")):
        answers.setdefault(entry["qsl_idx"], entry["data"])
    good = 0
    for index, data in answers.items():
        values = np.frombuffer(bytes.fromhex(data), dtype=np.float32)
        if not len(values):
            raise SampleError(f"sample {index} was answered with nothing, in {log}")
        good += int(values[0]) == labels[index]
    return Top1(good, len(answers))
