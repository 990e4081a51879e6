"""Typical batches for calibration, similar in length to those of the test."""

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.samples import Samples
from mlperf_docker.harness.calibration.batch_speeds import Batches
from mlperf_docker.harness.samples.library import Library

PANEL = 32
"""Samples that stand for all where they differ in length."""
NEIGHBOURS = 8
"""The nearest 1/8 of the samples by length count as equally long."""


def typical(samples: Samples, most: int, *, by_length: bool) -> Batches:
    """Batches of up to *most* samples; a data set that has fewer is repeated.

    Samples of one shape: the first ones. Of different length: with by_length, as Offline has them, neighbours around
    the mean length, and of a small data set, which a query repeats, the same ones again; else as queries come, others
    each time and of all lengths.
    """
    if samples.lengths is None:
        inputs = samples.load([index % samples.count for index in range(most)])
        return lambda size, _: tuple(array[:size] for array in inputs)
    chosen = _around_mean(samples.lengths, most) if by_length else _of_all_lengths(samples.lengths, max(most, PANEL))
    library = Library(samples)
    library.load([int(index) for index in chosen])

    def batch(size: int, turn: int) -> Arrays:
        start = 0 if by_length else turn * size
        rows = library.find([int(chosen[place % len(chosen)]) for place in range(start, start + size)])
        return library.gather(rows, library.buffers(size))

    return batch


def excess(samples: Samples, most: int) -> float:
    """How many times the mean length the longest is that `typical` gives in batches of up to *most*; at least 1.

    Where lengths are of two kinds there may be none about the mean, and the nearest ones are all of one kind. If too
    short, Offline's rate is overestimated, and its query lasts longer than it must; if too long, the query would be
    over too early, and INVALID. Time grows hardly more than in proportion to length: this factor makes up for it.
    """
    if samples.lengths is None:
        return 1.0
    chosen = samples.lengths[_around_mean(samples.lengths, most)]
    return max(1.0, float(chosen.max() / samples.lengths.mean()))


def _around_mean(lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    distinct = min(count, -(-len(lengths) // NEIGHBOURS))
    return np.argsort(np.abs(lengths - lengths.mean()), kind="stable")[:distinct]


def _of_all_lengths(lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Samples at even distances in the order of length, shuffled."""
    order = np.argsort(lengths, kind="stable")
    panel = order[np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)]
    return np.random.default_rng(0).permutation(panel)
