"""The query sample library: samples resident in memory, ready for the backend."""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays
from mlperf_docker.harness.models.base import Allocate, Samples
from mlperf_docker.harness.names import Joined

Rows = NDArray[np.int64]
"""Numbers of loaded samples, in the order in which they lie."""


class Layout(Protocol):
    """How loaded samples lie in memory, and become batches. by_length: the longest first."""

    by_length: bool

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
    """Samples of one shape, or numbers of samples, a row each. As LoadGen names them, or the longest first."""

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
        views = tuple(_shaped(buffer, (len(rows), longest, *buffer.shape[2:])) for buffer in into)
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


def _laid_out(joined: Joined, lengths: NDArray[np.int64] | None) -> Layout:
    """The layout of samples with these lengths."""
    if lengths is None:
        return Uniform()
    if joined is Joined.APART:
        return Uniform(by_length=True)
    return Concatenated(lengths) if joined is Joined.CONCATENATED else Padded(lengths)


class Library:
    """The samples that LoadGen has loaded.

    Its Offline query walks the loaded list in the order in which it named them, so batches of samples that lie in that
    order are runs of neighbouring rows, which a backend reads in place. Samples that differ in length lie with the
    longest first, but for those that are concatenated.
    """

    def __init__(self, samples: Samples, allocate: Allocate = np.empty) -> None:
        self._samples = samples
        self._allocate = allocate
        self._row_of: Rows = np.full(samples.count, -1, dtype=np.int64)
        self._layout: Layout = Uniform()
        self.arrays: Arrays = ()
        self.rows: dict[int, int] = {}
        self.singles: dict[int, Arrays] = {}

    @property
    def count(self) -> int:
        """Samples in the data set."""
        return self._samples.count

    def load(self, indices: Sequence[int]) -> None:
        """Make the samples resident. A repeated index (LoadGen pads MultiStream's list) takes no second row."""
        unique = list(dict.fromkeys(indices))
        lengths, joined = self._samples.lengths, self._samples.joined
        if lengths is not None and _laid_out(joined, lengths).by_length:
            unique.sort(key=lambda index: -int(lengths[index]))
        self._layout = _laid_out(joined, None if lengths is None else lengths[unique])
        self.arrays = self._samples.load(unique)
        self.rows = {index: row for row, index in enumerate(unique)}
        self._row_of[unique] = np.arange(len(unique))
        self.singles = {index: self.run_of(row, row + 1) for index, row in self.rows.items()}

    def unload(self, indices: Sequence[int]) -> None:
        """Let go of the samples."""
        self._row_of[list(indices)] = -1
        self.arrays, self.rows, self.singles = (), {}, {}

    def find(self, indices: Sequence[int]) -> Rows:
        """Rows of the loaded samples *indices*. Raises KeyError if one is not loaded."""
        rows = self._row_of[np.array(indices, dtype=np.int64)]
        if rows.min(initial=0) < 0:
            raise KeyError("LoadGen asked for a sample that is not loaded")
        return rows

    def order(self, rows: Rows) -> Rows | None:
        """The order in which a query of these rows is best answered: the longest first. None: as it comes."""
        return np.argsort(rows, kind="stable") if self._layout.by_length else None

    def gather(self, rows: Rows, into: Arrays) -> Arrays:
        """Copy *rows* into the first part of the buffers *into*, and give that: the batch that they make."""
        return self._layout.gather(self.arrays, rows, into)

    def run_of(self, start: int, stop: int) -> Arrays:
        """The batch of the rows from *start* to before *stop*, without a copy where that is possible."""
        return self._layout.run_of(self.arrays, start, stop)

    def buffers(self, batch: int) -> Arrays:
        """Uninitialised space for *batch* samples."""
        room = self._layout.room(batch)
        return tuple(self._allocate((room, *array.shape[1:]), array.dtype) for array in self.arrays)


def _shaped(buffer: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The first part of a contiguous buffer in another shape."""
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)
