"""Query sample library (QSL): samples resident in memory, ready for the backend."""

from collections.abc import Sequence

import numpy as np

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.samples import Allocate, Samples
from mlperf_docker.harness.samples.layouts import Layout, Rows, Uniform, laid_out


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
        if lengths is not None and laid_out(joined, lengths).by_length:
            unique.sort(key=lambda index: -int(lengths[index]))
        self._layout = laid_out(joined, None if lengths is None else lengths[unique])
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
