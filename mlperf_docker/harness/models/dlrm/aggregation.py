"""Grouping of rows into samples: MLPerf's trace, computed.

A sample of LoadGen is a run of 100 to 700 rows (user and item). Their numbers are drawn from upstream's list of twenty
quantiles with numpy's old generator, seed 123; for the official 89137319 rows that gives the published trace, byte for
byte. Source: mlcommons/inference, recommendation/dlrm/pytorch, python/criteo.py and tools/dist_quantile.txt.
"""

import numpy as np
from numpy.typing import NDArray

SEED = 123
QUANTILES = np.repeat([100, 200, 300, 400, 500, 600, 700], [2, 12, 2, 1, 1, 1, 1])
LARGEST = 700
"""Rows of the largest sample."""


def offsets(rows: int) -> NDArray[np.int64]:
    """Where each sample begins, and at last the number of rows; the last sample is what is left. rows: at least 1."""
    draws = np.random.RandomState(SEED).randint(0, len(QUANTILES), size=-(-rows // int(QUANTILES.min())))
    ends = np.cumsum(QUANTILES[draws], dtype=np.int64)
    return np.concatenate(([0], ends[ends < rows], [rows])).astype(np.int64)


def trace(bounds: NDArray[np.int64]) -> str:
    """The trace file: a line for each sample, its first row, the row after its last, and how many they are."""
    pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return "".join(f"{start}, {stop}, {stop - start}\n" for start, stop in pairs)
