"""Conversion of Criteo's day files to upstream's binary file: streamed, in memory that does not grow.

An id is the number of distinct values, modulo --max-ind-range, that came up before it in its column, over all days; so
the ids of the official weights depend on all 24 of them. What came up is kept as upstream keeps it, in
`day_fea_dict_*.npz` and `day_fea_count.npz`: with these the days that they cover need not be read again.

Source: facebookresearch/dlrm, data_utils.py and data_loader_terabyte.py.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import DatasetError, first_ten
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.dlrm import aggregation, dictionaries, rows
from mlperf_docker.harness.models.dlrm.dataset import BINARY, COLUMNS, DENSE, TABLES, TRACE
from mlperf_docker.harness.models.dlrm.days import day_files, opened
from mlperf_docker.harness.models.dlrm.dictionaries import Covered, Numbering
from mlperf_docker.harness.system.files import new_file, write_atomically

OFFICIAL_RANGE = rows.OFFICIAL_RANGE
OFFICIAL_DAYS = 24
COVERED = dictionaries.COVERED

BLOCK = 2 << 20
"""Bytes of text that are parsed together, some 9000 rows: what is made of them stays in a processor's cache."""


class _Converter:
    """Reads day after day. bad: lines that could not be read, as sentences; covered: the days that are done."""

    def __init__(self, files: Mapping[int, Path], numbering: Numbering, covered: list[Covered], report: Report) -> None:
        self._files, self._numbering, self._report = files, numbering, report
        self._sizes = {day: path.stat().st_size for day, path in files.items()}
        self.covered = covered
        self.bad: list[str] = []

    def read(self, day: int) -> Iterator[NDArray[np.int32]]:
        """The rows of a day, (n, 40) with ids, block by block. Raises DatasetError, at last for lines that are bad."""
        before, line = sum(size for earlier, size in self._sizes.items() if earlier < day), 1
        path = self._files[day]
        with opened(path) as text:
            for block in rows.blocks(text, BLOCK):
                values, count, bad = rows.parse(block, line)
                self.bad += [f"{path.name}, line {each.line}: {each.reason}" for each in bad]
                if len(self.bad) >= rows.ENOUGH:
                    break
                line += count
                yield self._numbered(values)
                self._report(before + text.position, sum(self._sizes.values()), "bytes")
            self._check()
            if line == 1:
                raise DatasetError(f"{path} has no rows", hint="It cannot be a day; fetch it again.")
            done = dictionaries.after(text.day(), self._numbering)
        for at, other in enumerate(self.covered):
            if other.day.same_text(done.day):
                raise DatasetError(f"{path} has the rows of {other.day.name}: one of them is not day {at} or {day}")
        self.covered.append(done)

    def _numbered(self, values: NDArray[np.int64]) -> NDArray[np.int32]:
        whole = np.empty((len(values), COLUMNS), dtype=np.int32)
        whole[:, : 1 + DENSE] = values[:, : 1 + DENSE]
        ids = values[:, 1 + DENSE :]
        limit = self._numbering.limit
        ids = ids - ids // limit * limit  # what % gives, several times as fast
        for column in range(TABLES):
            whole[:, 1 + DENSE + column] = self._numbering.number(column, ids[:, column])
        return whole

    def _check(self) -> None:
        """Raise DatasetError for lines that could not be read."""
        if self.bad:
            more = " at least" if len(self.bad) >= rows.ENOUGH else ""
            raise DatasetError(
                f"{len(self.bad)} lines{more} of the day files cannot be read",
                hint="A line is a label, 13 whole numbers and 26 hexadecimal ones, tabs between; some may be blank.",
                details=first_ten(self.bad),
            )


def convert(source: Path, output: Path, *, limit: int, days: int, report: Report) -> Mapping[str, Any]:
    """Write the first half of the last day as *output*/terabyte_processed_test.bin, with dictionaries and trace.

    limit: --max-ind-range. Goes on after the last day whose dictionaries are in *output*, as far as these were made of
    the same files. Raises DatasetError, with every line that cannot be read.
    """
    numbering, covered = dictionaries.taken_up(output, source, limit=limit, most=days - 1)
    start = len(covered)
    converter = _Converter(day_files(source, range(start, days)), numbering, covered, report)
    for day in range(start, days - 1):
        for _ in converter.read(day):
            pass
        dictionaries.keep(output, numbering, covered)
    written = 0
    (output / TRACE).unlink(missing_ok=True)  # of another file, should this be killed before there is a new one
    with new_file(output / BINARY) as partial, partial.open("wb") as stream:
        for block in converter.read(days - 1):
            stream.write(block.astype("<i4", copy=False).data)
            written += len(block)
        kept = -(-written // 2)
        stream.truncate(kept * 4 * COLUMNS)
    dictionaries.keep(output, numbering, covered)
    bounds = aggregation.offsets(kept)
    write_atomically(output / TRACE, aggregation.trace(bounds).encode())
    facts = {"rows": kept, "samples": len(bounds) - 1, "max_ind_range": limit, "days": days, "days_taken_up": start}
    return {**facts, "table_rows": list(numbering.counts), "output": str(output / BINARY)}
