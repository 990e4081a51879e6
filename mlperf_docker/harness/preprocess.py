"""One memory-mapped array of preprocessed samples per (data set, preprocessing version): parallel, resumable, atomic.

Samples of one shape are its rows; samples whose shapes differ lie in it one after the other.

A cache entry is a folder `<key>` with data.npy and index.json. It is made in `<key>.partial`, which also holds one byte
per finished sample; after a kill the next run goes on from there. A lock keeps two runs from making it at once.
"""

import hashlib
import json
import math
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import BadSample, DatasetError, SampleError, first_ten
from mlperf_docker.harness.files import locked, write_json
from mlperf_docker.harness.models.base import Report

CHUNK = 32
SMALL_SET_BYTES = 16 << 20
"""Below this much to read, starting processes takes longer than the work."""


class Reader(Protocol):
    """Makes one sample. Pickled into each worker process."""

    def prepare(self) -> None:
        """Import what `read` needs, in the process that will call it."""
        ...

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """An array to make. names: of the samples, for messages; sizes: bytes to read for each; shape: of one sample.

    shapes: of each sample, where they differ (then *shape* says nothing). chunk: samples that a process takes at
    once, by default CHUNK.
    """

    identity: str
    version: str
    names: Sequence[str]
    sizes: Sequence[int]
    shape: tuple[int, ...]
    dtype: str
    reader: Reader
    shapes: Sequence[tuple[int, ...]] = ()
    chunk: int | None = None

    @property
    def key(self) -> str:
        """Name of the cache entry."""
        return hashlib.sha256(f"{self.version}\n{self.identity}".encode()).hexdigest()[:20]

    @property
    def index(self) -> dict[str, Any]:
        """What index.json says."""
        fields: dict[str, Any] = {"count": len(self.names), "shape": list(self.shape), "dtype": self.dtype}
        if self.shapes:
            fields["shape"] = [list(shape) for shape in self.shapes]
        return {"version": self.version, "identity": self.identity, **fields, "bytes": self.bytes}

    @property
    def whole(self) -> tuple[int, ...]:
        """Shape of the array with all samples."""
        return (sum(map(math.prod, self.shapes)),) if self.shapes else (len(self.names), *self.shape)

    @property
    def bytes(self) -> int:
        """Size of the samples alone."""
        return math.prod(self.whole) * np.dtype(self.dtype).itemsize

    def part(self, data: NDArray[Any], index: int) -> NDArray[Any]:
        """Sample *index* in the array with all samples, in place."""
        if not self.shapes:
            sample: NDArray[Any] = data[index]
            return sample
        start, shape = sum(map(math.prod, self.shapes[:index])), self.shapes[index]
        return data[start : start + math.prod(shape)].reshape(shape)


def cached(job: Job, cache: Path, *, workers: int, report: Report) -> NDArray[Any]:
    """The samples of *job*, (count, *shape) or flat, memory-mapped; made where the cache lacks them.

    Raises DatasetError that counts the bad files and names ten; what was good stays for the next try.
    """
    folder = cache / "preprocessed" / job.key
    ready = _open(folder, job)
    if ready is None:
        with locked(folder.with_suffix(".lock")):
            ready = _open(folder, job)
            if ready is None:
                _make(job, folder, workers=workers, report=report)
                ready = _open(folder, job)
    if ready is None:
        raise DatasetError(f"the cache entry {folder} does not fit what was just written to it")
    return ready


def _open(folder: Path, job: Job) -> NDArray[Any] | None:
    """The finished entry, or None if it is not there or not what its index says."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        if index != job.index or (folder / "data.npy").stat().st_size < job.bytes:
            return None
        array: NDArray[Any] = np.load(folder / "data.npy", mmap_mode="r")
    except (OSError, ValueError):
        return None
    return array


def _make(job: Job, folder: Path, *, workers: int, report: Report) -> None:
    partial = folder.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    data, done = _resume(job, partial)
    todo = [int(index) for index in np.flatnonzero(done == 0)]
    bad: dict[int, str] = {}
    finished = len(job.names) - len(todo)
    report(finished, len(job.names), "samples")
    for indices, problems in _results(job, data, todo, workers):
        done[indices] = 1
        done[list(problems)] = 0
        bad |= problems
        finished += len(indices)
        report(finished, len(job.names), "samples")
    if bad:
        raise _bad_files(job, bad)
    _sync(data)
    write_json(partial / "index.json", job.index)
    (partial / "done").unlink()
    # What stands there, if anything, is damaged: `_open` refused it.
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def read_all(job: Job, *, workers: int, report: Report) -> None:
    """Make every sample and keep none: a check of the whole data set. Raises DatasetError as `cached` does."""
    bad: dict[int, str] = {}
    finished = 0
    for indices, problems in _results(job, None, range(len(job.names)), workers):
        bad |= problems
        finished += len(indices)
        report(finished, len(job.names), "samples")
    if bad:
        raise _bad_files(job, bad)


def _bad_files(job: Job, bad: dict[int, str]) -> DatasetError:
    return DatasetError(
        f"{len(bad)} of {len(job.names)} files cannot be read",
        hint="Replace these files and run again; the others are not read again.",
        details=first_ten([f"{job.names[index]}: {bad[index]}" for index in sorted(bad)]),
    )


def _resume(job: Job, partial: Path) -> tuple[Path, NDArray[np.uint8]]:
    """The data file and the map of finished samples, taken up from a run that was killed, or new."""
    data, done = partial / "data.npy", partial / "done"
    if not (done.exists() and done.stat().st_size == len(job.names)):
        np.lib.format.open_memmap(data, mode="w+", dtype=np.dtype(job.dtype), shape=job.whole).flush()
        _reserve(data)
        done.write_bytes(bytes(len(job.names)))
    return data, np.memmap(done, dtype=np.uint8, mode="r+")


def _reserve(data: Path) -> None:
    """Take the file's blocks now: writing to a mapped hole on a full disk kills the process with SIGBUS."""
    with data.open("r+b") as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            data.unlink()
            reason = f"{size / 1e9:.2f} GB for preprocessed samples: {error.strerror}"
            raise DatasetError(f"the cache folder {data.parents[2]} has no room for {reason}") from error


def _sync(data: Path) -> None:
    with data.open("rb") as stream:
        os.fsync(stream.fileno())


Result = tuple[list[int], dict[int, str]]


def _results(job: Job, data: Path | None, todo: Sequence[int], workers: int) -> Iterator[Result]:
    """Make the samples *todo* in chunks: in this process where it is little, else in *workers* processes."""
    size = job.chunk or CHUNK
    chunks = [list(todo[start : start + size]) for start in range(0, len(todo), size)]
    little = sum(job.sizes[index] for index in todo) < SMALL_SET_BYTES
    if workers < 2 or little or len(chunks) < 2:
        worker = _Worker(job, data)
        yield from map(worker.run, chunks)
    else:
        yield from _parallel(job, data, chunks, min(workers, len(chunks)))


def _parallel(job: Job, data: Path | None, chunks: Sequence[list[int]], workers: int) -> Iterator[Result]:
    # spawn: a forked child would inherit the locks of the threads that LoadGen, OpenCV and backends have started.
    context = multiprocessing.get_context("spawn")
    start = (job, data)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=start) as pool:
        pending: set[Future[Result]] = set()
        try:
            for chunk in chunks:
                pending.add(pool.submit(_run_chunk, chunk))
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BrokenProcessPool as error:
            raise SampleError(
                "a preprocessing process died; the likely cause is too little memory",
                hint="Run again with fewer --workers: what is done is kept.",
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """Writes samples into the shared file; without one, over and over into the same space."""

    def __init__(self, job: Job, data: Path | None) -> None:
        job.reader.prepare()
        self._job = job
        self._data: NDArray[Any] | None = np.load(data, mmap_mode="r+") if data else None
        self._space: NDArray[Any] | None = None

    def run(self, indices: list[int]) -> Result:
        """Make these samples; give back their numbers and what was bad."""
        bad = {}
        for index in indices:
            try:
                self._job.reader.read(index, self._place(index))
            except BadSample as problem:
                bad[index] = str(problem)
        return indices, bad

    def _place(self, index: int) -> NDArray[Any]:
        if self._data is not None:
            return self._job.part(self._data, index)
        shape = self._job.shapes[index] if self._job.shapes else self._job.shape
        if self._space is None or self._space.shape != shape:
            self._space = np.empty(shape, dtype=self._job.dtype)
        return self._space


_worker: _Worker | None = None


def _start_worker(job: Job, data: Path | None) -> None:
    """Set a worker process up: it leaves Ctrl-C to its parent, and dies with it."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (wait_for([sentinel]), os._exit(1)), daemon=True).start()
    _worker = _Worker(job, data)


def _run_chunk(indices: list[int]) -> Result:
    if _worker is None:
        raise RuntimeError("the worker was not set up")
    return _worker.run(indices)
