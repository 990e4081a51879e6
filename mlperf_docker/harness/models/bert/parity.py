"""Largest difference between the logits of two backends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.scores import Parity


def compare(ours: NDArray[Any], theirs: NDArray[Any]) -> Parity:
    """Both (samples, length, 2), of the same samples in the same batches, so that padding is the same too.

    largest_difference: of any logit, relative to the largest of all. agreement: share of samples whose likeliest start
    and likeliest end are in the same places.
    """
    largest = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).all(axis=1)
    return Parity(largest, float(same.mean()))
