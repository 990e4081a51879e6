"""Criteo's day files to the binary file that upstream's loader reads: streamed, in memory that does not grow.

An id is the number of distinct values, modulo --max-ind-range, that came up before it in its column, over all days; so
the ids of the official weights depend on all 24 of them. What came up is kept as upstream keeps it, in
`day_fea_dict_*.npz` and `day_fea_count.npz`: with these the days that they cover need not be read again.

Source: facebookresearch/dlrm, data_utils.py and data_loader_terabyte.py.
"""

import contextlib
import gzip
import json
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import DatasetError, first_ten
from mlperf_docker.harness.files import new_file, write_atomically, write_json
from mlperf_docker.harness.models.base import Report
from mlperf_docker.harness.models.dlrm import aggregation, rows
from mlperf_docker.harness.models.dlrm.dataset import BINARY, COLUMNS, DENSE, TABLES

OFFICIAL_RANGE = 40_000_000
OFFICIAL_DAYS = 24
TRACE = "dlrm_trace_of_aggregated_samples.txt"
COVERED = "day_fea_covered.json"
"""Which days, at which range, the dictionaries cover."""

BLOCK = 2 << 20
"""Bytes of text that are parsed together, some 9000 rows: what is made of them stays in a processor's cache."""
ENOUGH = 1000
"""Bad lines after which nobody needs to see more."""


class Numbering:
    """Ids of the values of 26 columns, in the order in which they came up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = [_sparse_zeros(limit) for _ in range(TABLES)]
        self._came: list[list[NDArray[np.int32]]] = [[] for _ in range(TABLES)]
        self.counts = [0] * TABLES

    def number(self, column: int, values: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of *values*, which are below the limit; new ones get the next."""
        known = self._next[column]
        found = known[values]
        fresh = values[found == 0]
        if len(fresh):
            distinct, firsts = np.unique(fresh, return_index=True)
            self._add(column, distinct[np.argsort(firsts)].astype(np.int32))
            found = known[values]
        return found - np.int32(1)

    def _add(self, column: int, values: NDArray[np.int32]) -> None:
        start = self.counts[column] + 1
        self._next[column][values] = np.arange(start, start + len(values))
        self._came[column].append(values)
        self.counts[column] += len(values)

    def unique(self, column: int) -> NDArray[np.int32]:
        """The values of a column in the order of their ids."""
        self._came[column] = [np.concatenate([np.zeros(0, dtype=np.int32), *self._came[column]])]
        return self._came[column][0]

    def restore(self, column: int, unique: NDArray[np.int32]) -> None:
        """Take up what `unique` gave."""
        self._add(column, unique)


def _sparse_zeros(count: int) -> NDArray[np.int32]:
    """Zeros of int32 that take memory only where something is written, in large pages: there are few to bring in."""
    space = mmap.mmap(-1, 4 * count)
    with contextlib.suppress(OSError, AttributeError):  # a kernel without them
        space.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(space, dtype=np.int32)


def day_files(source: Path, days: range) -> dict[int, Path]:
    """The files of *days*, unpacked where both are there. Raises DatasetError, naming every one that is missing."""
    found, missing = {}, []
    for day in days:
        candidates = (source / f"day_{day}", source / f"day_{day}.gz")
        present = [path for path in candidates if path.is_file()]
        if present:
            found[day] = present[0]
        else:
            missing.append(f"day_{day} or day_{day}.gz")
    if missing:
        hint = "The ids depend on all days. https://ailab.criteo.com/download-criteo-1tb-click-logs-dataset/ has them."
        message = f"{source} lacks {len(missing)} of {len(days)} day files"
        raise DatasetError(message, hint=hint, details=first_ten(missing))
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The text of a day file, and the file that tells how far it is read."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw) as text:
                yield text, raw  # type: ignore[misc]
        else:
            yield raw, raw


class _Converter:
    """Reads day after day. bad: lines that could not be read, by file, as sentences."""

    def __init__(self, files: Mapping[int, Path], numbering: Numbering, limit: int, report: Report) -> None:
        self._files, self._numbering, self._limit, self._report = files, numbering, limit, report
        self._sizes = {day: path.stat().st_size for day, path in files.items()}
        self.bad: list[str] = []

    def read(self, day: int) -> Iterator[NDArray[np.int32]]:
        """The rows of a day, (n, 40) with ids, block by block."""
        before, line = sum(size for earlier, size in self._sizes.items() if earlier < day), 1
        path = self._files[day]
        try:
            with _opened(path) as (text, raw):
                for block in rows.blocks(text, BLOCK):
                    values, count, bad = rows.parse(block, line)
                    self.bad += [f"{path.name}, line {each.line}: {each.reason}" for each in bad]
                    if len(self.bad) >= ENOUGH:
                        return
                    line += count
                    yield self._numbered(values)
                    self._report(before + raw.tell(), sum(self._sizes.values()), "bytes")
        except (OSError, EOFError) as error:
            raise DatasetError(
                f"cannot read {path}: {error}", hint="It is truncated or damaged; fetch it again."
            ) from error

    def _numbered(self, values: NDArray[np.int64]) -> NDArray[np.int32]:
        whole = np.empty((len(values), COLUMNS), dtype=np.int32)
        whole[:, : 1 + DENSE] = values[:, : 1 + DENSE]
        ids = values[:, 1 + DENSE :]
        ids = ids - ids // self._limit * self._limit  # what % gives, several times as fast
        for column in range(TABLES):
            whole[:, 1 + DENSE + column] = self._numbering.number(column, ids[:, column])
        return whole

    def check(self) -> None:
        """Raise DatasetError for lines that could not be read."""
        if self.bad:
            more = " at least" if len(self.bad) >= ENOUGH else ""
            raise DatasetError(
                f"{len(self.bad)} lines{more} of the day files cannot be read",
                hint="A line is a label, 13 whole numbers and 26 hexadecimal ones, tabs between; some may be blank.",
                details=first_ten(self.bad),
            )


def convert(source: Path, output: Path, *, limit: int, days: int, report: Report) -> Mapping[str, Any]:
    """Write the first half of the last day as *output*/terabyte_processed_test.bin, with dictionaries and trace.

    limit: --max-ind-range. Goes on after the last day whose dictionaries are in *output*, for the same limit.
    Raises DatasetError, with every line that cannot be read.
    """
    numbering = Numbering(limit)
    start = min(_covered(output, limit, numbering), days - 1)
    converter = _Converter(day_files(source, range(start, days)), numbering, limit, report)
    for day in range(start, days - 1):
        for _ in converter.read(day):
            pass
        converter.check()
        _keep(output, numbering, limit, day + 1)
    written = 0
    with new_file(output / BINARY) as partial, partial.open("wb") as stream:
        for block in converter.read(days - 1):
            stream.write(block.astype("<i4", copy=False).data)
            written += len(block)
        converter.check()
        if not written:
            raise DatasetError(f"{source}: the last day has no rows")
        kept = -(-written // 2)
        stream.truncate(kept * 4 * COLUMNS)
    _keep(output, numbering, limit, days)
    bounds = aggregation.offsets(kept)
    write_atomically(output / TRACE, aggregation.trace(bounds).encode())
    facts = {"rows": kept, "samples": len(bounds) - 1, "max_ind_range": limit, "days": days}
    return {**facts, "table_rows": list(numbering.counts), "output": str(output / BINARY)}


def _covered(output: Path, limit: int, numbering: Numbering) -> int:
    """Days that the dictionaries in *output* cover, taken up into *numbering*; 0 where there are none for *limit*."""
    try:
        known = json.loads((output / COVERED).read_text(encoding="utf-8"))
        if known["max_ind_range"] != limit:
            return 0
        for column in range(TABLES):
            with np.load(output / f"day_fea_dict_{column}.npz") as file:
                numbering.restore(column, file["unique"])
        return int(known["days"])
    except (OSError, ValueError, KeyError):
        return 0


def _keep(output: Path, numbering: Numbering, limit: int, days: int) -> None:
    """Write the dictionaries after *days*, as upstream names them; last the note that they are complete."""
    (output / COVERED).unlink(missing_ok=True)
    for column in range(TABLES):
        with new_file(output / f"day_fea_dict_{column}.npz") as partial, partial.open("wb") as stream:
            np.savez(stream, unique=numbering.unique(column))
    with new_file(output / "day_fea_count.npz") as partial, partial.open("wb") as stream:
        np.savez(stream, counts=np.array(numbering.counts, dtype=np.int32))
    write_json(output / COVERED, {"days": days, "max_ind_range": limit})
