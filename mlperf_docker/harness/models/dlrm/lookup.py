"""Look-up of embedding rows on the host.

The tables are the file's own memory: no framework gets them, so there is no second copy, and all frameworks run the
same network on what was found. Copying the rows takes a few percent of what computing with them does.
"""

import mmap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.api.interface import Tensor
from mlperf_docker.harness.api.network import Batch, Prepare
from mlperf_docker.harness.models.dlrm.dataset import DENSE, TABLES
from mlperf_docker.harness.weights.numbers import refuse_not_finite

Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]
Table = NDArray[Any]

DENSE_X = Tensor("dense_x", "float32", (None, DENSE))
IDS = Tensor("ids", "int32", (None, TABLES))

WORTH_A_THREAD = 256
"""Rows of a batch below which waking other threads costs more than they save."""


class _Room:
    """Memory that grows to the largest batch and is used again."""

    def __init__(self, allocate: Allocate, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._allocate, self._shape, self._dtype = allocate, shape, dtype
        self._space = allocate((0, *shape), dtype)

    def first(self, count: int) -> NDArray[Any]:
        """The first *count* elements, with whatever is in them."""
        if len(self._space) < count:
            self._space = self._allocate((count, *self._shape), self._dtype)
        return self._space[:count]


class _Crew:
    """Threads that share the tables of a lookup. numpy lets others run while it copies."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "lookup") if threads > 1 else None

    def share(self, work: Callable[[int], None], count: int, rows: int) -> None:
        """Call *work* with each number below *count*; on all threads, if the batch has *rows* enough."""
        if self._pool is None or rows < WORTH_A_THREAD:
            _each(work, range(count))
            return
        parts = [range(start, count, self._threads) for start in range(self._threads)]
        others = [self._pool.submit(_each, work, part) for part in parts[1:]]
        _each(work, parts[0])
        for other in others:
            other.result()


def _each(work: Callable[[int], None], numbers: Sequence[int]) -> None:
    for number in numbers:
        work(number)


@dataclass(frozen=True, slots=True)
class JoinedTables:
    """Tables as one: rows (n, width) of the memory that they all lie in, and where in it each begins."""

    rows: Table
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> "JoinedTables | None":
        """The tables as one, where they are parts of one mapped file and whole rows apart.

        So they are in a file that `convert` wrote: what else is in it is also a multiple of a row. Then all rows of a
        batch are found with one operation, in half the time.
        """
        files = {id(_root(table)): _root(table) for table in tables}
        if len(files) != 1 or not isinstance(file := next(iter(files.values())), mmap.mmap):
            return None
        addresses = np.array([table.__array_interface__["data"][0] for table in tables], dtype=np.int64)
        step, first = tables[0].strides[0], int(addresses.min())
        if ((addresses - first) % step).any():
            return None
        last = max(address + table.nbytes for address, table in zip(addresses.tolist(), tables, strict=True))
        offset = first - np.frombuffer(file, dtype=np.uint8).__array_interface__["data"][0]
        shape = ((last - first) // step, tables[0].shape[1])
        rows: Table = np.ndarray(shape, dtype=tables[0].dtype, buffer=file, offset=offset)
        return cls(rows, (addresses - first) // step)


def _root(array: Any) -> object:  # noqa: ANN401 (what an array's memory belongs to is anything)
    while isinstance(array, np.ndarray):
        array = array.base
    return array


class Population:
    """Mapped tables on their way into memory: now, rather than page by page while LoadGen measures.

    Each is read once, whatever the number of instances, and its numbers are looked at on that occasion. names: what
    the tables are called in the file *source*.
    """

    def __init__(self, source: str, names: Sequence[str]) -> None:
        self._source, self._names = source, names
        self._done: set[int] = set()

    def bring_in(self, tables: Sequence[Table], crew: _Crew) -> None:
        """Read *tables* with all threads. Raises ModelFileError, with table and row, for a number that is not finite.

        Those that are there already only have their pages looked at, which may be out of memory again.
        """

        def work(number: int) -> None:
            table = tables[number]
            if number in self._done:
                _touch(table)
                return
            refuse_not_finite(self._source, [(self._names[number], table)])
            self._done.add(number)

        crew.share(work, len(tables), WORTH_A_THREAD)


def _touch(table: Table) -> None:
    if table.size:
        table.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max()


@dataclass(frozen=True, slots=True)
class Lookup:
    """All rows from the host's memory: vectors (rows, 26, width)."""

    tables: tuple[Table, ...]
    population: Population = field(compare=False)

    inputs = (DENSE_X, IDS)

    def open(self, threads: int, allocate: Allocate) -> Prepare:
        """Bring the tables into memory, and look up in them. Raises ModelFileError for numbers that are not finite."""
        width, dtype = self.tables[0].shape[1], self.tables[0].dtype
        room = _Room(allocate, (len(self.tables), width), dtype)
        whole, crew = JoinedTables.of(self.tables), _Crew(threads)
        self.population.bring_in(self.tables, crew)

        def prepare(inputs: Batch) -> Batch:
            dense, ids = inputs
            vectors = room.first(len(ids))
            if whole is None:
                crew.share(lambda number: self._one(number, ids, vectors), len(self.tables), len(ids))
            else:
                places, flat = (ids + whole.starts).reshape(-1), vectors.reshape(-1, width)
                pieces = np.linspace(0, len(places), threads + 1).astype(np.int64).tolist()

                def work(piece: int) -> None:
                    part = slice(pieces[piece], pieces[piece + 1])
                    # mode="clip": with the default numpy fills a copy of `out` first. The ids are known good.
                    np.take(whole.rows, places[part], axis=0, out=flat[part], mode="clip")

                crew.share(work, threads, len(ids))
            return dense, vectors

        return prepare

    def _one(self, number: int, ids: NDArray[np.int32], vectors: NDArray[Any]) -> None:
        vectors[:, number] = self.tables[number].take(ids[:, number], axis=0)


@dataclass(frozen=True, slots=True)
class SplitLookup:
    """Only the rows that a device lacks, from the host's memory.

    The device has the first `resident[t]` rows of table t: ids were numbered in the order in which they came up in the
    training data, so these are the frequent ones. For each id of a table that it has a part of, it adds up its own row,
    times 1 or 0, and the host's, which is zeros where the row is its own.

    Inputs of the network: `hot` (rows, 26) int64, ids in the device's tables; `kept` (rows, tables with a part here),
    1 where that row counts; `cold`, likewise, int64, places in `vectors`; `vectors` (places, width), the first of
    which is zeros.
    """

    tables: tuple[Table, ...]
    resident: tuple[int, ...]
    population: Population = field(compare=False)

    inputs = (DENSE_X, IDS)

    @property
    def partial(self) -> tuple[int, ...]:
        """Numbers of the tables that the device does not have all of."""
        return tuple(
            n for n, (table, rows) in enumerate(zip(self.tables, self.resident, strict=True)) if rows < len(table)
        )

    def open(self, threads: int, allocate: Allocate) -> Prepare:
        """Bring the tables into memory, and look up in the host's. Raises ModelFileError, like `Lookup.open`.

        The device's rows were read for it; they only have their numbers looked at.
        """
        partial, crew = self.partial, _Crew(threads)
        self.population.bring_in(self.tables, crew)
        width, dtype = self.tables[0].shape[1], self.tables[0].dtype
        last = np.maximum(np.array(self.resident, dtype=np.int64) - 1, 0)
        hots, colds = (_Room(allocate, (columns,), np.int64) for columns in (len(self.tables), len(partial)))
        kepts, room = _Room(allocate, (len(partial),), dtype), _Room(allocate, (width,), dtype)

        def prepare(inputs: Batch) -> Batch:
            dense, ids = inputs
            hot, cold, kept = (each.first(len(ids)) for each in (hots, colds, kepts))
            np.minimum(ids, last, out=hot)
            wanted = [np.flatnonzero(ids[:, number] >= self.resident[number]) for number in partial]
            ends = 1 + np.cumsum([0, *map(len, wanted)])
            vectors = room.first(int(ends[-1]))
            vectors[0], cold[:], kept[:] = 0, 0, 1

            def work(place: int) -> None:
                start, stop, rows = ends[place], ends[place + 1], wanted[place]
                cold[rows, place], kept[rows, place] = np.arange(start, stop), 0
                table = self.tables[partial[place]]
                np.take(table, ids[rows, partial[place]], axis=0, out=vectors[start:stop], mode="clip")

            crew.share(work, len(partial), len(ids))
            return dense, hot, kept, cold, vectors

        return prepare
