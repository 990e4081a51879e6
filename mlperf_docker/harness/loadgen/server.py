"""SUT of Server: batches of the samples that wait."""

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np

from mlperf_docker.harness.loadgen.worker import Responder, Space, Tally, Worker, complete_with_nothing
from mlperf_docker.harness.samples.library import Library

_Queue = SimpleQueue[tuple[int, int] | None]
"""Samples that wait, each with its id; None is the end."""


class ServerSut:
    """Server: the callback only queues; worker threads take what has come, up to a batch, and answer it.

    The first samples go to one instance each, so that none is idle throughout a run that others are quick enough for.
    """

    def __init__(self, responder: Responder, library: Library, tally: Tally) -> None:
        self._library = library
        self._outcome = tally
        self._size, self._wait_s = responder.batch, responder.wait_s
        self._queue: _Queue = SimpleQueue()
        workers = [Worker(responder, predictor, tally) for predictor in responder.predictors]
        self._firsts: list[_Queue] = [SimpleQueue() for _ in workers]
        pairs = list(zip(workers, self._firsts, strict=True))
        self._threads = [threading.Thread(target=self._serve, args=pair, daemon=True) for pair in pairs]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queue the query's samples."""
        for pair in zip(ids, indices, strict=True):
            (self._firsts.pop() if self._firsts else self._queue).put(pair)

    def _serve(self, worker: Worker, own: _Queue) -> None:
        """Answer a first sample and then what comes until the end; never raises."""
        try:
            space = Space(self._library, self._size)
            first = own.get()
            while first is not None:
                self._answer(worker, space, [first, *self._more()])
                first = self._queue.get()
        except BaseException as error:  # noqa: BLE001 (no thread may die unnoticed)
            self._outcome.fail(error)

    def _answer(self, worker: Worker, space: Space, batch: list[tuple[int, int]]) -> None:
        ids = [identifier for identifier, _ in batch]
        indices = [index for _, index in batch]
        try:
            if self._outcome.failure is not None:
                complete_with_nothing(ids)
            elif len(batch) == 1:
                worker.answer_one(ids[0], indices[0], self._library.singles[indices[0]])
            else:
                rows = np.array([self._library.rows[index] for index in indices])
                worker.answer(ids, indices, space.gather(rows))
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._outcome.fail(error)
            complete_with_nothing(ids)

    def _more(self) -> Iterator[tuple[int, int]]:
        """What else is queued, or comes within the wait, until the batch is full."""
        deadline = monotonic() + self._wait_s
        for _ in range(self._size - 1):
            left = deadline - monotonic()
            try:
                pair = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except Empty:
                return
            if pair is None:
                self._queue.put(None)
                return
            yield pair

    def flush(self) -> None:
        """The workers never wait longer than `wait_s`, so nothing needs pushing."""

    def close(self) -> None:
        """Let the workers end."""
        for queue in (*self._firsts, *(self._queue for _ in self._threads)):
            queue.put(None)
        for thread in self._threads:
            thread.join()
