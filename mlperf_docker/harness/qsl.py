"""The query sample library: samples resident in memory, ready for the backend."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays
from mlperf_docker.harness.models.base import Allocate, Samples
from mlperf_docker.harness.names import Joined


class Library:
    """The samples that LoadGen has loaded, one row each.

    Samples of one shape lie in the order in which LoadGen named them: its Offline query walks the loaded list in that
    order, so its batches are runs of neighbouring rows, which a backend reads in place. So do samples of different
    length that are concatenated: each is a piece of one long array. Those that are padded lie by falling length, and a
    batch of them is no longer than its longest: neighbours are nearly alike, so little of a batch is padding; and a
    batch that does not fit into memory is among the first.
    """

    def __init__(self, samples: Samples, allocate: Allocate = np.empty) -> None:
        self._samples = samples
        self._allocate = allocate
        self._row_of: NDArray[np.int64] = np.full(samples.count, -1, dtype=np.int64)
        self._lengths: NDArray[np.int64] | None = None
        self._starts: NDArray[np.int64] | None = None
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
        lengths = self._samples.lengths
        if lengths is not None and self._samples.joined is Joined.CONCATENATED:
            self._lengths = lengths[unique]
            self._starts = np.concatenate(([0], np.cumsum(self._lengths)))
        elif lengths is not None:
            unique.sort(key=lambda index: -int(lengths[index]))
            self._lengths = lengths[unique]
        self.arrays = self._samples.load(unique)
        self.rows = {index: row for row, index in enumerate(unique)}
        self._row_of[unique] = np.arange(len(unique))
        self.singles = {index: self.run_of(row, row + 1) for index, row in self.rows.items()}

    def unload(self, indices: Sequence[int]) -> None:
        """Let go of the samples."""
        self._row_of[list(indices)] = -1
        self.arrays, self.rows, self.singles = (), {}, {}

    def find(self, indices: Sequence[int]) -> NDArray[np.int64]:
        """Rows of the loaded samples *indices*. Raises KeyError if one is not loaded."""
        rows = self._row_of[np.array(indices, dtype=np.int64)]
        if rows.min(initial=0) < 0:
            raise KeyError("LoadGen asked for a sample that is not loaded")
        return rows

    def order(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The order in which a query of these rows is best answered: by falling length. None: as it comes."""
        return None if self._lengths is None or self._starts is not None else np.argsort(rows, kind="stable")

    def gather(self, rows: NDArray[np.int64], into: Arrays) -> Arrays:
        """Copy *rows* into the first part of the buffers *into*, and give that: as long as the longest of them.

        Concatenated samples: as long as all of them.
        """
        if self._starts is not None:
            return self._gather_pieces(rows, self._starts, into)
        if self._lengths is None:
            views = tuple(buffer[: len(rows)] for buffer in into)
            for array, view in zip(self.arrays, views, strict=True):
                # mode="clip": with the default numpy fills a temporary copy of `out` first. The rows are known good.
                np.take(array, rows, axis=0, out=view, mode="clip")
            return views
        longest = int(self._lengths[rows].max())
        views = tuple(_shaped(buffer, (len(rows), longest, *buffer.shape[2:])) for buffer in into)
        for array, view in zip(self.arrays, views, strict=True):
            np.copyto(view, array[rows, :longest])
        return views

    def _gather_pieces(self, rows: NDArray[np.int64], starts: NDArray[np.int64], into: Arrays) -> Arrays:
        bounds = list(zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True))
        total = sum(stop - start for start, stop in bounds)
        views = tuple(buffer[:total] for buffer in into)
        for array, view in zip(self.arrays, views, strict=True):
            np.concatenate([array[start:stop] for start, stop in bounds], out=view)
        return views

    def run_of(self, start: int, stop: int) -> Arrays:
        """The rows from *start* to before *stop*: in place, but for several padded ones shorter than the longest."""
        if self._starts is not None:
            first, last = int(self._starts[start]), int(self._starts[stop])
            return tuple(array[first:last] for array in self.arrays)
        if self._lengths is None:
            return tuple(array[start:stop] for array in self.arrays)
        longest = int(self._lengths[start])
        return tuple(np.ascontiguousarray(array[start:stop, :longest]) for array in self.arrays)

    def buffers(self, batch: int) -> Arrays:
        """Uninitialised space for *batch* samples."""
        if self._starts is not None and self._lengths is not None:
            batch *= int(self._lengths.max(initial=0))
        return tuple(self._allocate((batch, *array.shape[1:]), array.dtype) for array in self.arrays)


def _shaped(buffer: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The first part of a contiguous buffer in another shape."""
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)
