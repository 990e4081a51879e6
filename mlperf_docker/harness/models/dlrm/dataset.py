"""Data set of preprocessed Criteo rows, as upstream's binary loader reads them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models.dlrm import aggregation
from mlperf_docker.harness.system import data_files

BINARY = "terabyte_processed_test.bin"
"""Rows of 40 little-endian int32: label, 13 numbers (none negative), 26 ids."""
TRACE = "dlrm_trace_of_aggregated_samples.txt"
"""Beside it, where there: how upstream groups the rows into samples, which we compute."""
DENSE = 13
TABLES = 26
COLUMNS = 1 + DENSE + TABLES
MOST_ROWS = 1_000_000_000
"""The official file has 89,137,319; a day has twice as many."""

_HINT = "Make it from Criteo's day files: mlperf-docker data convert dlrm"


@dataclass(frozen=True, slots=True)
class Criteo:
    """Rows, memory-mapped, (n, 40) int32, and where each sample of them begins."""

    path: Path
    rows: NDArray[np.int32]
    bounds: NDArray[np.int64]
    """First row of each sample, and the end of the last."""
    identity: str
    """A digest over name, size and time."""

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.bounds) - 1

    @property
    def labels(self) -> NDArray[np.int32]:
        """1 where there was a click, else 0; of all rows, in the file's memory."""
        return self.rows[:, 0]


def open_criteo(root: Path, *, limit: int | None = None) -> Criteo:
    """The rows below *root*, or those of the first *limit* samples. Raises DatasetError."""
    path = root / BINARY
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    try:
        status = data_files.status(path)
    except data_files.MissingSample:
        raise DatasetError(f"{root} is not Criteo as MLPerf has it: {BINARY} was not found", hint=_HINT) from None
    except BadSample as problem:
        raise DatasetError(f"cannot read {path}: {problem}", hint=_HINT) from problem
    count, rest = divmod(status.st_size, 4 * COLUMNS)
    if rest or not count:
        what = f"its {status.st_size} bytes are no whole number of rows of {4 * COLUMNS} bytes"
        raise DatasetError(f"{path} is empty or truncated: {what}", hint=_HINT)
    if count > MOST_ROWS:
        raise DatasetError(f"{path} cannot be half a day of Criteo: it has {count} rows", hint=_HINT)
    rows: NDArray[np.int32] = np.memmap(path, dtype=np.dtype("<i4"), mode="r", shape=(count, COLUMNS))
    whole = aggregation.offsets(count)
    _check_trace(root / TRACE, whole)
    bounds = whole[: None if limit is None else limit + 1]
    described = f"{BINARY}\n{status.st_size}\n{status.st_mtime_ns}"
    return Criteo(path, rows[: int(bounds[-1])], bounds, hashlib.sha256(described.encode()).hexdigest()[:20])


def _check_trace(path: Path, bounds: NDArray[np.int64]) -> None:
    """Raise DatasetError if there is a trace that groups the rows in another way than *bounds*, or that is none."""
    try:
        found = data_files.read_text(path).splitlines()
    except data_files.MissingFile:
        return
    expected = aggregation.trace(bounds).splitlines()
    if found == expected:
        return
    pairs = zip(found, expected, strict=False)
    line = next((at for at, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(found), len(expected)))
    theirs = data_files.shown(found[line]) if line < len(found) else "missing"
    wanted = repr(expected[line]) if line < len(expected) else "the end"
    hint = "It is damaged, or of another set. Samples do not depend on it: remove it, or convert the day files again."
    raise DatasetError(f"{path} does not fit {BINARY}: line {line + 1} is {theirs}, not {wanted}", hint=hint)
