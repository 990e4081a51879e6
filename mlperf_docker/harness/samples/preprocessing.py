"""Preprocessing of a data set into the cache: parallel, resumable, renamed when complete.

Samples of one shape are the rows of an array; samples whose shapes differ lie in it one after the other.

A cache entry is a folder `<key>`, as `kept` describes it. It is made in `<key>.partial`; after a kill the next run goes
on from there, with those samples that fit their records. A lock keeps two runs from making it at once; where the file
system has none, each makes its own, and the first to finish puts it there.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError, SampleError, first_ten
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.samples.kept import (
    CHECKS,
    DATA,
    INDEX,
    RECORD,
    KeptSamples,
    Record,
    SamplePlaces,
    damaged,
    header,
    make,
    mapped,
    read_index,
    read_records,
    stale,
)
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.system import entries, files, storage
from mlperf_docker.harness.system.entries import Unfit, obtain

CHUNK = 32
SMALL_SET_BYTES = 16 << 20
"""Below this much to read, starting processes takes longer than the work."""


def cached(job: Preparation, cache: Path, *, workers: int, report: Report) -> KeptSamples:
    """The samples of *job*; made where the cache lacks them.

    Raises DatasetError that counts the bad files and names ten; what was good stays for the next try.
    """
    folder = cache / "preprocessed" / job.key

    def fill(alone: bool) -> None:  # noqa: FBT001 (whether there is a lock)
        _make(job, folder, alone=alone, workers=workers, report=report)

    return obtain(folder, lambda: KeptSamples(job, folder), fill)


def _make(job: Preparation, folder: Path, *, alone: bool, workers: int, report: Report) -> None:
    partial = _taken_up(folder, alone=alone)
    todo = _prepared(job, partial)
    records: NDArray[Any] = np.memmap(partial / CHECKS, dtype=RECORD, mode="r+")
    bad: dict[int, str] = {}
    finished = len(job.names) - len(todo)
    report(finished, len(job.names), "samples")
    for made, problems in _results(job, partial / DATA, todo, workers):
        for index, record in made.items():
            records[index] = record
        bad |= problems
        finished += len(made) + len(problems)
        report(finished, len(job.names), "samples")
    if bad:
        raise _bad_files(job, bad)
    files.sync_tree(partial)
    files.put(partial, folder)


def _taken_up(folder: Path, *, alone: bool) -> Path:
    """The folder to make an entry in: what a run that was killed left, else the damaged entry, else a new one."""
    partial = files.partial_of(folder, alone=alone)
    if not partial.is_dir() or partial.is_symlink():
        files.remove(partial)
        if folder.is_dir() and not folder.is_symlink():
            folder.rename(partial)
        else:
            partial.mkdir(parents=True)
    files.remove(folder)
    return partial


def _prepared(job: Preparation, partial: Path) -> list[int]:
    """The samples to make, after starting a new entry, or looking at what is there."""
    try:
        read_index(partial, job)
        records = read_records(partial)
    except Unfit:
        _start(job, partial)
        return list(range(len(job.names)))
    todo = sorted({*stale(job, records), *damaged(job, records, mapped(job, partial / DATA))})
    records[todo] = np.zeros((), dtype=RECORD)
    (partial / CHECKS).write_bytes(records.tobytes())
    return todo


def _start(job: Preparation, partial: Path) -> None:
    files.remove(partial)
    partial.mkdir(parents=True)
    (partial / DATA).write_bytes(header(job))
    _reserve(partial / DATA, len(header(job)) + job.bytes)
    (partial / CHECKS).write_bytes(bytes(RECORD.itemsize * len(job.names)))
    entries.write_checked(partial / INDEX, job.index)


def _reserve(data: Path, size: int) -> None:
    """Take the file's blocks now: writing to a mapped hole on a full disk kills the process with SIGBUS."""
    with data.open("r+b") as stream:
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except OSError as error:
            if error.errno not in storage.FULL:
                raise
            data.unlink()
            raise storage.no_space(data.parents[1], f"{size / 1e9:.2f} GB of preprocessed samples") from error


def read_all(job: Preparation, *, workers: int, report: Report) -> None:
    """Make every sample and keep none: a check of the whole data set. Raises DatasetError as `cached` does."""
    bad: dict[int, str] = {}
    finished = 0
    for made, problems in _results(job, None, range(len(job.names)), workers):
        bad |= problems
        finished += len(made) + len(problems)
        report(finished, len(job.names), "samples")
    if bad:
        raise _bad_files(job, bad)


def _bad_files(job: Preparation, bad: dict[int, str]) -> DatasetError:
    return DatasetError(
        f"{len(bad)} of {len(job.names)} files cannot be read",
        hint="Replace these files and run again; the others are not read again.",
        details=first_ten([f"{job.names[index]}: {bad[index]}" for index in sorted(bad)]),
    )


Result = tuple[dict[int, Record], dict[int, str]]
"""The records of the samples made, and what was bad, by their indices."""


def _results(job: Preparation, data: Path | None, todo: Sequence[int], workers: int) -> Iterator[Result]:
    """Make the samples *todo* in chunks: in this process where it is little, else in *workers* processes."""
    size = job.chunk or CHUNK
    chunks = [list(todo[start : start + size]) for start in range(0, len(todo), size)]
    little = sum(job.sizes[index] for index in todo) < SMALL_SET_BYTES
    if workers < 2 or little or len(chunks) < 2:
        worker = _Worker(job, data)
        yield from map(worker.run, chunks)
    else:
        yield from _parallel(job, data, chunks, min(workers, len(chunks)))


def _parallel(job: Preparation, data: Path | None, chunks: Sequence[list[int]], workers: int) -> Iterator[Result]:
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

    def __init__(self, job: Preparation, data: Path | None) -> None:
        job.reader.prepare()
        self._job = job
        self._layout = SamplePlaces(job)
        self._data = mapped(job, data, writable=True) if data else None
        self._space: NDArray[Any] | None = None

    def run(self, indices: list[int]) -> Result:
        """Make these samples; give their records and what was bad."""
        made, bad = {}, {}
        for index in indices:
            try:
                made[index] = self._make(index)
            except BadSample as problem:
                bad[index] = str(problem)
        return made, bad

    def _make(self, index: int) -> Record:
        if self._data is not None:
            return make(self._job, index, self._layout.part(self._data, index))
        shape = self._job.shape_of(index)
        if self._space is None or self._space.shape != shape:
            self._space = np.empty(shape, dtype=self._job.dtype)
        self._job.reader.read(index, self._space)
        return 0, 0, 0


_worker: _Worker | None = None


def _start_worker(job: Preparation, data: Path | None) -> None:
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
