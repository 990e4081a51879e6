"""Preprocessing of Criteo's rows: logarithms of counts, and ids within the tables.

Nothing is cached but the largest id of each category: the file is already as small as what is made of it, and what is
made of it takes LoadGen's loading a few seconds.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import DatasetError, first_ten
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.dlrm.dataset import COLUMNS, DENSE, TABLES, Criteo
from mlperf_docker.harness.models.dlrm.rows import LARGEST, OFFICIAL_RANGE
from mlperf_docker.harness.system.entries import entry
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.system.resources import cores

VERSION = "criteo-looked-at-2"
"""Part of the cache's key. Count it up when more is looked at."""

FILE = "extremes.json"

BLOCK = 1 << 17
"""Rows that are looked at together, 21 MB."""
FEW = 256
"""Samples that a thread loads in a row."""
EVERY = 8
"""One row in so many is looked at for holes: a page of memory or of a disk has 25."""


@dataclass(frozen=True, slots=True)
class Form:
    """Form of the ids: rows of each table, and the number that ids wrap at if longer tables were cut to it."""

    rows: tuple[int, ...] = ()
    wrap: int | None = None


class Pairs:
    """The samples: runs of rows, of different length, concatenated in a batch."""

    joined = Joined.CONCATENATED

    def __init__(self, dataset: Criteo, form: Form) -> None:
        self._rows, self._bounds, self._wrap = dataset.rows, dataset.bounds, form.wrap
        self.count = dataset.count
        self.lengths: NDArray[np.int64] = np.diff(dataset.bounds)

    def load(self, indices: Sequence[int]) -> Arrays:
        """Logarithms (rows, 13) float32 and ids (rows, 26) int32 of these samples, one after the other."""
        chosen = np.array(indices, dtype=np.int64)
        starts = np.concatenate(([0], np.cumsum(self.lengths[chosen])))
        dense = np.empty((int(starts[-1]), DENSE), dtype=np.float32)
        ids = np.empty((int(starts[-1]), TABLES), dtype=np.int32)

        def fill(part: slice) -> None:
            for index, start in zip(chosen[part].tolist(), starts[:-1][part].tolist(), strict=True):
                self._read(index, start, dense, ids)

        parts = [slice(start, start + FEW) for start in range(0, len(chosen), FEW)]
        with ThreadPoolExecutor(min(cores(), len(parts)), "rows") as pool:
            list(pool.map(fill, parts))
        return dense, ids

    def _read(self, index: int, start: int, dense: NDArray[np.float32], ids: NDArray[np.int32]) -> None:
        rows = self._rows[self._bounds[index] : self._bounds[index + 1]]
        stop = start + len(rows)
        dense[start:stop] = rows[:, 1 : 1 + DENSE]
        dense[start:stop] += np.float32(1)
        np.log(dense[start:stop], out=dense[start:stop])
        ids[start:stop] = rows[:, 1 + DENSE :]
        if self._wrap is not None:
            ids[start:stop] %= self._wrap

    def labels(self, index: int) -> NDArray[np.int32]:
        """What happened in the rows of a sample: 1 a click, 0 none."""
        return self._rows[self._bounds[index] : self._bounds[index + 1], 0]


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least and the largest value of each of the 40 columns."""

    least: NDArray[np.int64]
    largest: NDArray[np.int64]


def extremes(dataset: Criteo, *, workers: int, report: Report) -> Extremes:
    """Read all rows once, in parallel. Raises DatasetError for a hole in the file."""
    rows = dataset.rows
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    least = np.full(COLUMNS, np.iinfo(np.int32).max, dtype=np.int64)
    largest = np.full(COLUMNS, np.iinfo(np.int32).min, dtype=np.int64)
    done = 0
    with ThreadPoolExecutor(max(1, min(workers, len(blocks))), "look") as pool:
        for block, (low, high, hole) in zip(blocks, pool.map(_look, blocks), strict=True):
            if hole is not None:
                message = f"{dataset.path} has a hole: all is 0 from about row {done + hole} on"
                raise DatasetError(message, hint="It was not copied completely; copy or convert it again.")
            np.minimum(least, low, out=least)
            np.maximum(largest, high, out=largest)
            done += len(block)
            report(done, len(rows), "rows")
    return Extremes(least, largest)


def _look(rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32], int | None]:
    """The least and the largest of each column, and where a hole begins: rows of nothing but 0, which no row is."""
    empty: NDArray[np.bool_] = ~np.asarray(rows[::EVERY].any(axis=1))
    holes = empty[1:] & empty[:-1]
    return rows.min(axis=0), rows.max(axis=0), EVERY * int(holes.argmax()) if holes.any() else None


def cached_extremes(dataset: Criteo, cache: Path, *, workers: int, report: Report) -> Extremes:
    """The same, from the cache where it has them."""

    def look(folder: Path) -> None:
        found = extremes(dataset, workers=workers, report=report)
        write_json(folder / FILE, {"least": found.least.tolist(), "largest": found.largest.tolist()})

    made_from = {"version": VERSION, "data": dataset.identity, "rows": len(dataset.rows)}
    name = "-".join(map(str, made_from.values()))
    changed = {"changed": dataset.path.stat().st_ctime_ns}
    folder = entry(cache / "preprocessed" / name, {**made_from, **changed}, look)
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Extremes(*(np.array(found[key], dtype=np.int64) for key in ("least", "largest")))


def check(dataset: Criteo, found: Extremes, form: Form) -> None:
    """Raise DatasetError, with every finding, for values that cannot be or ids that the tables of *form* lack."""
    lines = []
    if found.least[0] < 0 or found.largest[0] > 1:
        lines.append(f"labels go from {found.least[0]} to {found.largest[0]}, not from 0 to 1")
    for column in range(1, COLUMNS):
        kind = f"number {column - 1}" if column <= DENSE else f"category {column - 1 - DENSE}"
        if found.least[column] < 0:
            lines.append(f"{kind} is negative: {found.least[column]}")
    for table, rows in enumerate(form.rows):
        if rows != form.wrap and found.largest[1 + DENSE + table] >= rows:
            lines.append(f"category {table} has id {found.largest[1 + DENSE + table]}; its table has {rows} rows")
    if not form.rows and found.largest[1 + DENSE :].max() >= OFFICIAL_RANGE:
        largest = found.largest[1 + DENSE :].max()
        lines.append(f"an id is {largest}; the official tables have no more than {OFFICIAL_RANGE} rows")
    if lines:
        hint = "The rows were made for other tables: convert the day files with the model's own --max-ind-range."
        message = f"{dataset.path} does not fit the model; the first row that cannot be is row {_first(dataset, form)}"
        raise DatasetError(message, hint=hint, details=first_ten(lines))


def _first(dataset: Criteo, form: Form) -> int:
    """The first row, counted from 0, with a value that `check` finds, which there is."""
    highest = np.full(COLUMNS, np.iinfo(np.int32).max, dtype=np.int64)
    highest[0] = 1
    tables = [LARGEST if rows == form.wrap else rows - 1 for rows in form.rows] or [OFFICIAL_RANGE - 1] * TABLES
    highest[1 + DENSE :] = tables
    for start in range(0, len(dataset.rows), BLOCK):
        block = dataset.rows[start : start + BLOCK]
        bad = ((block < 0) | (block > highest)).any(axis=1)
        if bad.any():
            return start + int(bad.argmax())
    return len(dataset.rows)
