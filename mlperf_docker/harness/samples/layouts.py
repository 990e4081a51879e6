"""Layouts of loaded samples: of one shape, padded, concatenated."""

from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined

Rows = NDArray[np.int64]
"""Numbers of loaded samples, in the order in which they lie."""


class Layout(Protocol):
    """Layout of loaded samples in memory, and their batches."""

    by_length: bool
    """The longest first."""

    def run_of(self, arrays: Arrays, start: int, stop: int) -> Arrays:
        """The rows from *start* to before *stop* as a batch, in place where that is possible."""
        ...

    def gather(self, arrays: Arrays, rows: Rows, into: Arrays) -> Arrays:
        """Any rows, copied into the first part of the buffers *into*, which is given back."""
        ...

    def room(self, batch: int) -> int:
        """How long the first axis of a buffer for *batch* samples must be."""
        ...


class Uniform:
    """Equal-shape samples or sample indices, one row each, in LoadGen's order or longest first."""

    def __init__(self, *, by_length: bool = False) -> None:
        self.by_length = by_length

    def run_of(self, arrays: Arrays, start: int, stop: int) -> Arrays:
        """In place."""
        return tuple(array[start:stop] for array in arrays)

    def gather(self, arrays: Arrays, rows: Rows, into: Arrays) -> Arrays:
        """As many rows of each buffer."""
        views = tuple(buffer[: len(rows)] for buffer in into)
        for array, view in zip(arrays, views, strict=True):
            # mode="clip": with the default numpy fills a temporary copy of `out` first. The rows are known good.
            np.take(array, rows, axis=0, out=view, mode="clip")
        return views

    def room(self, batch: int) -> int:
        """A row for each."""
        return batch


class Padded:
    """Samples of different length, the longest first; a batch is as long as its longest.

    Neighbours are nearly alike, so little of a batch is padding; and one that does not fit into memory is among the
    first. lengths: of each row.
    """

    by_length = True

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        self._lengths = lengths

    def run_of(self, arrays: Arrays, start: int, stop: int) -> Arrays:
        """In place, but for several that are shorter than the longest of all."""
        longest = int(self._lengths[start])
        return tuple(np.ascontiguousarray(array[start:stop, :longest]) for array in arrays)

    def gather(self, arrays: Arrays, rows: Rows, into: Arrays) -> Arrays:
        """The buffers in another shape."""
        longest = int(self._lengths[rows].max())
        views = tuple(shaped(buffer, (len(rows), longest, *buffer.shape[2:])) for buffer in into)
        for array, view in zip(arrays, views, strict=True):
            np.copyto(view, array[rows, :longest])
        return views

    def room(self, batch: int) -> int:
        """A row for each, as long as the longest of all."""
        return batch


class Concatenated:
    """Samples of different length, one after the other: each is a piece of one long array. lengths: of each."""

    by_length = False

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        self._longest = int(lengths.max(initial=0))
        self._starts = np.concatenate(([0], np.cumsum(lengths)))

    def run_of(self, arrays: Arrays, start: int, stop: int) -> Arrays:
        """In place."""
        first, last = int(self._starts[start]), int(self._starts[stop])
        return tuple(array[first:last] for array in arrays)

    def gather(self, arrays: Arrays, rows: Rows, into: Arrays) -> Arrays:
        """As long as all of them."""
        bounds = list(zip(self._starts[rows].tolist(), self._starts[rows + 1].tolist(), strict=True))
        total = sum(stop - start for start, stop in bounds)
        views = tuple(buffer[:total] for buffer in into)
        for array, view in zip(arrays, views, strict=True):
            np.concatenate([array[start:stop] for start, stop in bounds], out=view)
        return views

    def room(self, batch: int) -> int:
        """As much as the longest of all needs for each."""
        return batch * self._longest


def laid_out(joined: Joined, lengths: NDArray[np.int64] | None) -> Layout:
    """The layout of samples with these lengths."""
    if lengths is None:
        return Uniform()
    if joined is Joined.INDICES:
        return Uniform(by_length=True)
    return Concatenated(lengths) if joined is Joined.CONCATENATED else Padded(lengths)


def shaped(buffer: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The first part of a contiguous buffer in another shape."""
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)
