"""Batches for models that take one sample at a time, and for samples of different length."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface


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


def one_by_one(predict: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
    """Run *predict*, whose outputs have no axis for samples, on each sample of a batch."""
    singles = [predict(tuple(array[row : row + 1] for array in inputs)) for row in range(len(inputs[0]))]
    return tuple(stack(parts) for parts in zip(*singles, strict=True))


def in_batches_of(size: int, predict: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
    """Run *predict*, which takes *size* samples and no other number, on a batch of any number.

    The last samples come with copies of the very last, whose outputs are dropped. Raises ModelFileError where an output
    has not one entry for each sample.
    """
    count = len(inputs[0])
    starts = range(0, count, size)
    outputs = [predict(filled(tuple(array[start:] for array in inputs), size)) for start in starts]
    odd = {each.shape for output in outputs for each in output if each.shape[:1] != (size,)}
    if odd:
        message = f"the model gives outputs of shape {min(odd)} for {size} samples"
        raise ModelFileError(message, hint="They do not tell samples apart: it is another model.")
    whole = outputs[0] if len(outputs) == 1 else [joined(parts) for parts in zip(*outputs, strict=True)]
    return tuple(array[:count] for array in whole)


def filled(inputs: Arrays, size: int) -> Arrays:
    """The first *size* samples of a batch, or all of a smaller one and copies of its last."""
    missing = size - len(inputs[0])
    if missing <= 0:
        return tuple(array[:size] for array in inputs)
    return tuple(np.concatenate((array, *[array[-1:]] * missing)) for array in inputs)


def zeros(interface: Interface, count: int) -> Arrays:
    """Inputs of *count* samples, all zero; other axes of any length are as long."""
    shapes = [tuple(count if axis is None else axis for axis in tensor.shape) for tensor in interface.inputs]
    return tuple(np.zeros(shape, tensor.dtype) for shape, tensor in zip(shapes, interface.inputs, strict=True))
