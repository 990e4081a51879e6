"""Preprocessed samples on disk, each with a checksum of its own.

The folder of an entry holds `data.npy`, all samples; `checks`, a record of 16 bytes for each; and `index.json`, what
they were made from. A record says what its sample and the files that it was made of came to, so an entry need not be
whole: one that was interrupted or damaged is taken up where its records fit.

What is looked at when: the index, sizes, and whether a file of the data set was written to since, when an entry is
opened; a sample, when it is first read in a run. So the cost is that of reading what is used, at the speed of memory.
"""

import hashlib
import io
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.system import entries, files, storage
from mlperf_docker.harness.system.entries import Unfit
from mlperf_docker.harness.system.resources import cores

INDEX, DATA, CHECKS = "index.json", "data.npy", "checks"

RECORD = np.dtype([("sum", "<u4"), ("source", "<u4"), ("changed", "<i8")])
"""sum: CRC-32 of a sample, over that of its place and its source; 0 where it is not made. source: CRC-32 of its files.
changed: when these were last written to, in nanoseconds, or a digest of that where they are several."""

Records = NDArray[Any]
Record = tuple[int, int, int]

log = logging.getLogger(__name__)


def changed(paths: Sequence[str]) -> int:
    """When the files were last written to, or put where they are, whatever their time of modification was set to."""
    try:
        times = [os.stat(path).st_ctime_ns for path in paths]  # noqa: PTH116 (there may be 50,000)
    except OSError:
        return 0
    if len(times) == 1:
        return times[0]
    return int.from_bytes(hashlib.blake2b(repr(times).encode(), digest_size=8).digest(), "little", signed=True)


def source(paths: Sequence[str]) -> int:
    """CRC-32 of the files, one behind the other. Raises BadSample if one cannot be read."""
    value = 0
    try:
        for path in paths:
            if not Path(path).is_file():
                raise BadSample("no file")
            value = files.crc32(Path(path), value)
    except OSError as error:
        raise BadSample(error.strerror or "unreadable") from error
    return value


def sum_of(job: Preparation, index: int, source: int, sample: NDArray[Any]) -> int:
    """What a record says of a sample: never 0."""
    place = zlib.crc32(f"{job.key} {index} {source}".encode())
    return zlib.crc32(sample.data.cast("B") if sample.size else b"", place) or 1


def make(job: Preparation, index: int, out: NDArray[Any]) -> Record:
    """Write sample *index* into *out*; give its record. Raises BadSample.

    The files' times and contents are taken first: if they change meanwhile, the record does not fit them.
    """
    paths = job.files[index]
    time = changed(paths)
    try:
        before = source(paths)
    except BadSample:
        job.reader.read(index, out)  # knows better what is wrong
        raise
    job.reader.read(index, out)
    return sum_of(job, index, before, out), before, time


def header(job: Preparation) -> bytes:
    """The first bytes of data.npy."""
    stream = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(np.dtype(job.dtype)), "fortran_order": False, "shape": job.whole}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def mapped(job: Preparation, data: Path, *, writable: bool = False) -> NDArray[Any]:
    """The array with all samples, in the file."""
    if not job.bytes:
        return np.zeros(job.whole, dtype=job.dtype)
    mode: Any = "r+" if writable else "r"
    return np.memmap(data, np.dtype(job.dtype), mode, len(header(job)), job.whole)


class SamplePlaces:
    """Offsets of the samples of a job."""

    def __init__(self, job: Preparation) -> None:
        self._job = job
        self._starts = job.starts

    def part(self, data: NDArray[Any], index: int) -> NDArray[Any]:
        """Sample *index* in the array with all samples, in place."""
        if not self._job.shapes:
            sample: NDArray[Any] = data[index]
            return sample
        return data[self._starts[index] : self._starts[index + 1]].reshape(self._job.shapes[index])


def read_index(folder: Path, job: Preparation) -> None:
    """Raise Unfit if the folder is not that of *job*, or its files have other sizes than they should."""
    if entries.read_checked(folder / INDEX) != job.index:
        raise Unfit("it was made from something else, or by another version")
    first = header(job)
    for name, size in ((DATA, len(first) + job.bytes), (CHECKS, RECORD.itemsize * len(job.names))):
        path = folder / name
        if not files.is_regular(path):
            raise Unfit(f"{name} is no plain file, or missing")
        if path.stat().st_size != size:
            raise Unfit(f"{name} has {path.stat().st_size} bytes, not {size}")
    try:
        with (folder / DATA).open("rb") as stream:
            start = stream.read(len(first))
    except OSError as error:
        raise Unfit(f"{DATA} cannot be read: {error.strerror}") from error
    if start != first:
        raise Unfit(f"{DATA} is damaged")


def read_records(folder: Path) -> Records:
    """The records of an entry whose sizes are right. Raises Unfit."""
    try:
        return np.fromfile(folder / CHECKS, dtype=RECORD)
    except OSError as error:
        raise Unfit(f"{CHECKS} cannot be read: {error.strerror}") from error


def stale(job: Preparation, records: Records) -> list[int]:
    """Samples that are not made, or of files that are not what they were.

    The contents of files that were written to since are compared; where they are the same, *records* take the new time.
    """
    times = np.fromiter(map(changed, job.files), dtype=np.int64, count=len(job.files))
    doubtful = np.flatnonzero((records["changed"] != times) | (records["sum"] == 0)).tolist()
    if not doubtful:
        return []
    with ThreadPoolExecutor(cores(), "sources") as pool:
        same = list(pool.map(lambda index: _same_source(job, records[index], index), doubtful))
    kept = [index for index, fits in zip(doubtful, same, strict=True) if fits]
    records["changed"][kept] = times[kept]
    return [index for index, fits in zip(doubtful, same, strict=True) if not fits]


def _same_source(job: Preparation, record: Records, index: int) -> bool:
    try:
        return bool(record["sum"]) and source(job.files[index]) == int(record["source"])
    except BadSample:
        return False


def damaged(job: Preparation, records: Records, data: NDArray[Any]) -> list[int]:
    """Samples that are not what their records say. Reads them all."""
    layout = SamplePlaces(job)

    def differs(index: int) -> bool:
        record = records[index]
        return sum_of(job, index, int(record["source"]), layout.part(data, index)) != int(record["sum"])

    with ThreadPoolExecutor(cores(), "checks") as pool:
        found = list(pool.map(differs, range(len(records))))
    return np.flatnonzero(found).tolist()


class Several(Protocol):
    """Arrays by index: rows of an array, a list of arrays, or samples that are kept."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """One of them."""
        ...

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """All, in their order."""
        ...


class KeptSamples:
    """The samples of a finished entry, by their indices; each is looked at when it is first read.

    One that is not what its record says is made anew, and put right where the entry can be written.
    """

    def __init__(self, job: Preparation, folder: Path) -> None:
        """Raises Unfit."""
        read_index(folder, job)
        self._job, self._folder = job, folder
        self._records = read_records(folder)
        self._data = mapped(job, folder / DATA)
        self._layout = SamplePlaces(job)
        self._checked = np.zeros(len(job.names), dtype=np.bool_)
        self._own: dict[int, NDArray[Any]] = {}
        self._look()

    def _look(self) -> None:
        before = self._records["changed"].copy()
        wrong = stale(self._job, self._records)
        if wrong:
            raise Unfit(f"{len(wrong)} of {len(self)} samples are not made, or of files that were other ones then")
        if not self._job.bytes and damaged(self._job, self._records, self._data):
            raise Unfit(f"{CHECKS} is damaged")
        if not np.array_equal(before, self._records["changed"]):
            with suppress(OSError, storage.StorageError):  # it would only save the next run a look
                files.write_atomically(self._folder / CHECKS, self._records.tobytes())

    def __len__(self) -> int:
        return len(self._job.names)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """Sample *index*. Raises DatasetError where it was damaged and cannot be made anew."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index in self._own:
            return self._own[index]
        sample = self._layout.part(self._data, index)
        if not self._checked[index]:
            record = self._records[index]
            if sum_of(self._job, index, int(record["source"]), sample) != int(record["sum"]):
                return self._made_anew(index)
            self._checked[index] = True
        return sample

    @property
    def shapes(self) -> Sequence[tuple[int, ...]]:
        """Of all samples, without reading them."""
        return self._job.shapes or [self._job.shape] * len(self)

    @property
    def bytes(self) -> int:
        """Of all samples."""
        return self._job.bytes

    def _made_anew(self, index: int) -> NDArray[Any]:
        if not self._own:
            what = f"{self._job.names[index]}, and any other sample like it, is made anew"
            log.warning("The cache entry %s is damaged: %s.", self._folder, what)
        fresh = np.empty(self._job.shape_of(index), dtype=self._job.dtype)
        self._job.reader.prepare()
        try:
            record = make(self._job, index, fresh)
        except BadSample as problem:
            raise DatasetError(f"{self._job.names[index]} cannot be read: {problem}") from problem
        self._own[index] = fresh
        with suppress(OSError, ValueError):
            self._put_right(index, fresh, record)
        return fresh

    def _put_right(self, index: int, fresh: NDArray[Any], record: Record) -> None:
        data = mapped(self._job, self._folder / DATA, writable=True)
        self._layout.part(data, index)[...] = fresh
        np.memmap(self._folder / CHECKS, dtype=RECORD, mode="r+")[index] = record
