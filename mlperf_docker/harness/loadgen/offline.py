"""SUT of Offline: one query cut into batches, shared by all instances.

None of these callbacks may raise: an exception that leaves one takes LoadGen's threads down with the process. A failure
is remembered, the samples concerned are completed with nothing, and the run fails afterwards. The same holds for their
threads: one that ends before its time is a failure, and `loadgen` ends the process if LoadGen then waits for samples.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.loadgen.batches import Batch, Query, cut, drain
from mlperf_docker.harness.loadgen.worker import Responder, Tally, Worker, complete_with_nothing
from mlperf_docker.harness.samples.library import Library


class OfflineSut:
    """Offline: the one query in batches, spread over the instances, each batch completed as a whole."""

    _issued = 0

    def __init__(self, responder: Responder, library: Library, tally: Tally) -> None:
        self._workers = [Worker(responder, predictor, tally, pipelined=True) for predictor in responder.predictors]
        self._library = library
        self._outcome = tally
        self._size = responder.batch

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Answer the whole query; never raises."""
        try:
            query = self._query(ids, indices)
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._outcome.fail(error)
            complete_with_nothing(ids)
            return
        self._share(query)

    def _query(self, ids: list[int], indices: list[int]) -> Query:
        """The query, cut so that there is a batch for each instance, as far as there are samples."""
        self._issued += len(ids)
        rows = self._library.find(indices)
        order = self._library.order(rows)
        if order is not None:
            ids, indices, rows = [ids[i] for i in order], [indices[i] for i in order], rows[order]
        batches = cut(rows, min(self._size, max(1, len(rows) // len(self._workers))))
        return Query(ids, indices, rows, deque(batches), all(batch.first is not None for batch in batches))

    def _share(self, query: Query) -> None:
        """Answer *query* with all instances: the first batch of each is set aside, whoever is free takes the next."""
        firsts = [query.batches.popleft() for _ in self._workers[: len(query.batches)]]
        threads = []
        for worker, first in list(zip(self._workers, firsts, strict=False))[1:]:
            thread = threading.Thread(target=self._work, args=(worker, query, first), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._outcome.fail(error)
                query.batches.append(first)
            else:
                threads.append(thread)
        self._work(self._workers[0], query, firsts[0])
        for thread in threads:
            thread.join()

    def _work(self, worker: Worker, query: Query, first: Batch) -> None:
        """Answer *first*, then what is left with the other instances; never raises."""
        try:
            for batch, inputs in self._ready(query, first):
                own = query.ids[batch.start : batch.stop]
                if self._outcome.failure is None:
                    worker.answer(own, query.indices[batch.start : batch.stop], inputs)
                else:
                    complete_with_nothing(own)
            worker.settle()
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen, and no thread die unnoticed)
            self._outcome.fail(error)

    def _ready(self, query: Query, first: Batch) -> Iterator[tuple[Batch, Arrays]]:
        """Batches with their inputs; the next one is gathered in a thread while the caller works on this one."""
        batches = chain((first,), drain(query.batches))
        if query.neighbours:
            for batch in batches:
                yield batch, self._library.run_of(batch.first or 0, (batch.first or 0) + batch.stop - batch.start)
            return
        spaces = [self._library.buffers(self._size) for _ in range(2)]
        with ThreadPoolExecutor(1, "gather") as gatherer:
            coming: deque[tuple[Batch, Future[Arrays]]] = deque()
            for turn, batch in enumerate(batches):
                coming.append((batch, gatherer.submit(self._inputs, query.rows, batch, spaces[turn % 2])))
                if turn:
                    yield self._arrived(*coming.popleft())
            while coming:
                yield self._arrived(*coming.popleft())

    def _arrived(self, batch: Batch, gathered: Future[Arrays]) -> tuple[Batch, Arrays]:
        try:
            return batch, gathered.result()
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._outcome.fail(error)
            return batch, ()

    def _inputs(self, rows: NDArray[np.int64], batch: Batch, space: Arrays) -> Arrays:
        if batch.first is not None:
            return self._library.run_of(batch.first, batch.first + batch.stop - batch.start)
        return self._library.gather(rows[batch.start : batch.stop], space)

    def flush(self) -> None:
        """The query is answered; fail where samples of it are not, for which LoadGen would wait for ever."""
        missing = self._issued - self._outcome.completed
        if missing and self._outcome.failure is None:
            self._outcome.fail(SampleError(f"{missing} of {self._issued} samples were not answered"))

    def close(self) -> None:
        """Let the workers' threads end."""
        for worker in self._workers:
            worker.close()
