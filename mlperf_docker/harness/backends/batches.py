"""Batches of samples that differ in length, and for models that take one sample at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays


def stack(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays of different length on one new axis, each filled up with zeros: (samples, longest, …)."""
    longest = max(len(part) for part in parts)
    stacked = np.zeros((len(parts), longest, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for row, part in zip(stacked, parts, strict=True):
        row[: len(part)] = part
    return stacked


def joined(batches: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Batches one after the other. Where their second axes differ, each is filled up with zeros to the longest."""
    if len({batch.shape[1:] for batch in batches}) == 1:
        return np.concatenate(batches)
    return stack([row for batch in batches for row in batch])


def one_by_one(predict: Callable[[Arrays], Arrays], inputs: Arrays, *, ragged: bool) -> Arrays:
    """Run *predict* on each sample of a batch. ragged: its outputs have no axis for samples."""
    singles = [predict(tuple(array[row : row + 1] for array in inputs)) for row in range(len(inputs[0]))]
    join = stack if ragged else np.concatenate
    return tuple(join(parts) for parts in zip(*singles, strict=True))
