"""Ids of Criteo's values: assigned in order of first occurrence, and kept between days.

Kept as upstream keeps them, in `day_fea_dict_*.npz` and `day_fea_count.npz`, and beside these a note: which files they
were made of, how many values there were after each day, and checksums. Dictionaries only grow, so the note of an
earlier day fits those of a later one: whenever a conversion is killed, what is noted can be taken up.

They are no entry of the cache (system/entries.py): they lie in the user's folder under upstream's names, and a
conversion takes up the part of them that its first days are, for which each day has checksums of its own.
"""

import contextlib
import hashlib
import json
import mmap
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.models.dlrm import days
from mlperf_docker.harness.models.dlrm.dataset import TABLES
from mlperf_docker.harness.system import data_files
from mlperf_docker.harness.system.files import new_file, write_json

COVERED = "day_fea_covered.json"
"""The note."""
COUNTS = "day_fea_count.npz"
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, RuntimeError)
"""What numpy raises for a damaged file."""


class Numbering:
    """Ids of the values of 26 columns, in the order in which they came up."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._next = [_sparse_zeros(limit) for _ in range(TABLES)]
        self._came: list[list[NDArray[np.int32]]] = [[] for _ in range(TABLES)]
        self._digests = [hashlib.sha256() for _ in range(TABLES)]
        self.counts = [0] * TABLES

    def number(self, column: int, values: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ids of *values*, which are below the limit; new ones get the next."""
        known = self._next[column]
        found = known[values]
        fresh = values[found == 0]
        if len(fresh):
            distinct, firsts = np.unique(fresh, return_index=True)
            self.add(column, distinct[np.argsort(firsts)].astype(np.int32))
            found = known[values]
        return found - np.int32(1)

    def add(self, column: int, values: NDArray[np.int32]) -> None:
        """Give the next ids to *values*, which are new."""
        start = self.counts[column] + 1
        self._next[column][values] = np.arange(start, start + len(values))
        self._came[column].append(values)
        self._digests[column].update(values.astype("<i4", copy=False).data)
        self.counts[column] += len(values)

    def unique(self, column: int) -> NDArray[np.int32]:
        """The values of a column in the order of their ids."""
        self._came[column] = [np.concatenate([np.zeros(0, dtype=np.int32), *self._came[column]])]
        return self._came[column][0]

    @property
    def checksums(self) -> list[str]:
        """Of the values of each column."""
        return [digest.copy().hexdigest() for digest in self._digests]


def _sparse_zeros(count: int) -> NDArray[np.int32]:
    """Zeros of int32 that take memory only where something is written, in large pages: there are few to bring in."""
    space = mmap.mmap(-1, 4 * count)
    with contextlib.suppress(OSError, AttributeError):  # a kernel without them
        space.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(space, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Covered:
    """A day that is in the dictionaries."""

    day: days.Day
    counts: tuple[int, ...]
    """Number of each column's values after this day."""
    checksums: tuple[str, ...]
    """Checksums of each column's values after this day."""


def after(day: days.Day, numbering: Numbering) -> Covered:
    """The note of *day*, which was numbered last."""
    return Covered(day, tuple(numbering.counts), tuple(numbering.checksums))


def keep(output: Path, numbering: Numbering, covered: Sequence[Covered]) -> None:
    """Write the dictionaries into *output*, as upstream names them, and at last the note."""
    for column in range(TABLES):
        with new_file(_dictionary(output, column)) as partial, partial.open("wb") as stream:
            np.savez(stream, unique=numbering.unique(column))
    with new_file(output / COUNTS) as partial, partial.open("wb") as stream:
        np.savez(stream, counts=np.array(numbering.counts, dtype=np.int32))
    note = {"max_ind_range": numbering.limit, "days": [_fields(each) for each in covered]}
    write_json(output / COVERED, {**note, "checksum": _checksum(note)})


def taken_up(output: Path, source: Path, *, limit: int, most: int) -> tuple[Numbering, list[Covered]]:
    """What earlier conversions left in *output* for the first days, *most* at most; nothing where it does not fit.

    It fits for *limit* and as long as the files in *source* are those that it was made of; files that are gone are not
    needed. Whatever is damaged is made again.
    """
    covered = [*_still_there(_noted(output, limit)[:most], source)]
    numbering = Numbering(limit)
    for column in range(TABLES if covered else 0):
        count, checksum = covered[-1].counts[column], covered[-1].checksums[column]
        values = _values(_dictionary(output, column), count)
        if values is None or hashlib.sha256(values.data).hexdigest() != checksum:
            return Numbering(limit), []
        numbering.add(column, values)
    return numbering, covered


def _still_there(covered: Sequence[Covered], source: Path) -> Sequence[Covered]:
    """Those before the first whose file is another one now."""
    for at, each in enumerate(covered):
        try:
            if not each.day.is_file(days.find(source, at)):
                return covered[:at]
        except data_files.MissingSample:
            continue
        except (BadSample, OSError):
            return covered[:at]
    return covered


def _noted(output: Path, limit: int) -> list[Covered]:
    """What the note says, if it is whole and for *limit*."""
    try:
        note = data_files.read_json(output / COVERED)
        checksum = note.pop("checksum")
        if note["max_ind_range"] != limit or checksum != _checksum(note):
            return []
        return [
            Covered(days.from_fields(each["day"]), tuple(each["counts"]), tuple(each["checksums"]))
            for each in note["days"]
        ]
    except (DatasetError, AttributeError, KeyError, TypeError):
        return []


def _values(path: Path, count: int) -> NDArray[np.int32] | None:
    """The first *count* values in a dictionary, or None where there are not as many."""
    try:
        with data_files.opened(path) as stream, np.load(stream, allow_pickle=False) as file:
            values: NDArray[np.int32] = file["unique"]
    except (BadSample, *_UNREADABLE):
        return None
    right = values.ndim == 1 and values.dtype == np.int32 and len(values) >= count
    return np.ascontiguousarray(values[:count]) if right else None


def _dictionary(output: Path, column: int) -> Path:
    return output / f"day_fea_dict_{column}.npz"


def _fields(covered: Covered) -> dict[str, Any]:
    return {"day": days.as_fields(covered.day), "counts": covered.counts, "checksums": covered.checksums}


def _checksum(note: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(note, sort_keys=True).encode()).hexdigest()
