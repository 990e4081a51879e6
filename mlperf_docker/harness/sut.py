"""Systems under test: how each scenario's queries become batches of a predictor and answers to LoadGen.

None of these callbacks may raise: an exception that leaves one takes LoadGen's threads down with the process. A failure
is remembered, the samples concerned are completed with nothing, and the run fails afterwards. The same holds for their
threads: one that ends before its time is a failure, and `loadgen` ends the process if LoadGen then waits for samples.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

import mlperf_loadgen as lg
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays, Predictor
from mlperf_docker.harness.errors import NotFiniteError, SampleError
from mlperf_docker.harness.models.base import Payload, Postprocess
from mlperf_docker.harness.names import Scenario
from mlperf_docker.harness.qsl import Library


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers samples: one predictor for each instance, and the payload made from its outputs.

    batch: the largest batch; wait_s: how long Server waits for more samples once it has one. names: of the predictors'
    outputs, as far as they have some.
    """

    predictors: tuple[Predictor, ...]
    postprocess: Postprocess
    payload: Payload
    batch: int
    wait_s: float = 0.0
    names: tuple[str, ...] = ()


class Outcome:
    """What happened so far: samples answered by each instance, the first failure, and the first value not finite."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.not_finite: str | None = None
        self._answers: list[Answers] = []

    def register(self, answers: "Answers") -> None:
        """Count the samples that an instance answers with *answers*. Instances come in their order."""
        self._answers.append(answers)

    @property
    def by_instance(self) -> tuple[int, ...]:
        """Samples that each instance answered."""
        return tuple(answers.completed for answers in self._answers)

    @property
    def completed(self) -> int:
        """Samples answered by all instances."""
        return sum(self.by_instance)

    def fail(self, error: BaseException) -> None:
        """Remember the first failure."""
        if self.failure is None:
            self.failure = error


def not_finite(outputs: Arrays, names: Sequence[str], samples: Sequence[int]) -> str | None:
    """Which output of a batch holds a NaN or an infinite value, in words; None if all are finite. Costs 1 µs an array.

    Names the sample too, or that of the batch's first where the outputs of samples are one after the other.
    """
    for number, output in enumerate(outputs):
        if output.dtype.kind == "f" and not (finite := np.isfinite(output)).all():
            name = names[number] if number < len(names) else f"number {number + 1}"
            place = tuple(np.argwhere(~finite)[0])
            alone = len(output) == len(samples)
            sample = f"sample {samples[place[0]]}" if alone else f"a batch from sample {samples[0]} on"
            return f"output {name} of {sample} is not finite: {output[place]}"
    return None


class Answers:
    """Response objects on a fixed output buffer, made once: for each batch only their ids are set.

    Making new ones costs two to six times more per sample. LoadGen reads the buffer only inside QuerySamplesComplete.
    One thread at a time completes samples with it, so *completed* is exact; a count shared by instances would not be.
    """

    def __init__(self, payload: Payload, batch: int, outcome: Outcome) -> None:
        self.buffer: NDArray[Any] = np.zeros((batch, payload.width), dtype=payload.dtype)
        address, _ = self.buffer.__array_interface__["data"]
        size = self.buffer.strides[0]
        self._responses = [lg.QuerySampleResponse(0, address + size * slot, size) for slot in range(batch)]
        self._one = self._responses[:1]
        self._value_bytes = self.buffer.itemsize
        self.completed = 0
        outcome.register(self)

    def cut(self, lengths: Sequence[int]) -> None:
        """Answer with only so many values of each row from now on. Raises ValueError for more than a row has."""
        if max(lengths, default=0) > self.buffer.shape[1]:
            raise ValueError(f"an answer of {max(lengths)} values; there is room for {self.buffer.shape[1]}")
        for response, length in zip(self._responses, lengths, strict=False):
            response.size = length * self._value_bytes

    def complete_one(self, identifier: int) -> None:
        """Answer one sample with the first row of the buffer."""
        self._one[0].id = identifier
        lg.QuerySamplesComplete(self._one)
        self.completed += 1

    def complete(self, ids: Sequence[int]) -> None:
        """Answer the samples *ids* with the first rows of the buffer."""
        responses = self._responses
        if len(ids) != len(responses):
            responses = responses[: len(ids)]
        for response, identifier in zip(responses, ids, strict=True):
            response.id = identifier
        lg.QuerySamplesComplete(responses)
        self.completed += len(ids)


def complete_with_nothing(ids: Sequence[int]) -> None:
    """Tell LoadGen that the samples are done, without an answer, so that it does not wait for ever."""
    lg.QuerySamplesComplete([lg.QuerySampleResponse(identifier, 0, 0) for identifier in ids])


class Sut(Protocol):
    """The callbacks of ConstructFastSUT, and an end."""

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Take a query."""
        ...

    def flush(self) -> None:
        """LoadGen has issued the last query of a set."""
        ...

    def close(self) -> None:
        """The test is over."""
        ...


class _Worker:
    """One predictor with its own answers; a thread at a time uses it.

    pipelined: payloads that are slow to make are made in a second thread, while the predictor has the next batch.
    """

    def __init__(self, engine: Engine, predictor: Predictor, outcome: Outcome, *, pipelined: bool = False) -> None:
        self._predict = predictor.predict
        self._postprocess = engine.postprocess
        self._answers = Answers(engine.payload, engine.batch, outcome)
        self._buffer = self._answers.buffer
        self._first = self._buffer[:1]
        self._names = engine.names
        self._floats: list[int] | None = None
        self._outcome = outcome
        self._finisher = ThreadPoolExecutor(1, "finish") if pipelined and engine.payload.slow else None
        self._unfinished: Future[None] | None = None

    def answer_one(self, identifier: int, index: int, inputs: Arrays) -> None:
        """Run a single sample and complete it. Never raises. Spares SingleStream what a batch needs."""
        try:
            outputs = self._predict(inputs)
            self._look(outputs, (index,))
            lengths = self._postprocess(outputs, (index,), self._first)
            if lengths is not None:
                self._answers.cut(lengths)
            self._answers.complete_one(identifier)
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._give_up((identifier,), (index,), error)

    def answer(self, ids: Sequence[int], indices: Sequence[int], inputs: Arrays) -> None:
        """Run a batch and complete it. Never raises."""
        try:
            outputs = self._predict(inputs)
            if self._finisher is not None:
                self.settle()
                self._unfinished = self._finisher.submit(self._finish, ids, indices, outputs)
                return
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self.settle()
            self._give_up(ids, indices, error)
            return
        self._finish(ids, indices, outputs)

    def _finish(self, ids: Sequence[int], indices: Sequence[int], outputs: Arrays) -> None:
        """Make the payloads of a batch and complete it. Never raises."""
        try:
            self._look(outputs, indices)
            lengths = self._postprocess(outputs, indices, self._buffer[: len(ids)])
            if lengths is not None:
                self._answers.cut(lengths)
            self._answers.complete(ids)
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._give_up(ids, indices, error)

    def _look(self, outputs: Arrays, indices: Sequence[int]) -> None:
        """Remember the first output that is not finite. Which ones are floats is the same for every batch."""
        if self._floats is None:
            self._floats = [number for number, output in enumerate(outputs) if output.dtype.kind == "f"]
        for number in self._floats:
            if not np.isfinite(outputs[number]).all() and self._outcome.not_finite is None:
                self._outcome.not_finite = not_finite(outputs, self._names, indices)

    def _give_up(self, ids: Sequence[int], indices: Sequence[int], error: BaseException) -> None:
        """Answer samples with nothing because of *error*, which is a failure unless the network gave it."""
        if isinstance(error, NotFiniteError):
            found = f"{error.what} of sample {indices[error.row]} is not finite"
            self._outcome.not_finite = self._outcome.not_finite or found
            self._answers.completed += len(ids)
        else:
            self._outcome.fail(error)
        complete_with_nothing(ids)

    def settle(self) -> None:
        """Wait until the last batch is completed."""
        if self._unfinished is not None:
            self._unfinished.result()
            self._unfinished = None

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._finisher is not None:
            self._finisher.shutdown()


class _Space:
    """Room for a gathered batch, made anew for each set of samples that LoadGen loads: another may have longer ones."""

    def __init__(self, library: Library, batch: int) -> None:
        self._library, self._batch = library, batch
        self._loaded: Arrays = ()
        self._arrays: Arrays = ()

    def gather(self, rows: NDArray[np.int64]) -> Arrays:
        """The batch of *rows*, good until the next call."""
        if self._loaded is not self._library.arrays:
            self._loaded, self._arrays = self._library.arrays, self._library.buffers(self._batch)
        return self._library.gather(rows, self._arrays)


class InlineSut:
    """SingleStream and MultiStream: a query is one batch, answered inside the callback.

    Handing it to a thread would add its wake-up, some 40 µs, to each latency.
    """

    def __init__(self, engine: Engine, library: Library, outcome: Outcome) -> None:
        self._worker = _Worker(engine, engine.predictors[0], outcome)
        self._library = library
        self._outcome = outcome
        self._space = _Space(library, engine.batch)

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Answer the query; never raises."""
        try:
            if self._outcome.failure is not None:
                complete_with_nothing(ids)
            elif len(ids) == 1:
                self._worker.answer_one(ids[0], indices[0], self._library.singles[indices[0]])
            else:
                self._answer_many(ids, indices)
        except BaseException as error:  # noqa: BLE001 (nothing may pass into LoadGen)
            self._outcome.fail(error)
            complete_with_nothing(ids)

    def _answer_many(self, ids: list[int], indices: list[int]) -> None:
        rows = self._library.rows
        first = rows[indices[0]]
        wanted = [rows[index] for index in indices]
        if wanted == list(range(first, first + len(wanted))):
            inputs = self._library.run_of(first, first + len(wanted))
        else:
            inputs = self._space.gather(np.array(wanted))
        self._worker.answer(ids, indices, inputs)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of the Offline query, from *start* to before *stop*. first: its row where its rows are neighbours."""

    start: int
    stop: int
    first: int | None


def cut(rows: NDArray[np.int64], size: int) -> list[Batch]:
    """Cut a query into batches of *size*, the last one shorter, and tell which lie in neighbouring rows."""
    starts = np.arange(0, len(rows), size)
    stops = np.minimum(starts + size, len(rows))
    jumps = np.concatenate(([0], np.cumsum(np.diff(rows) != 1)))
    straight = jumps[stops - 1] == jumps[starts]
    firsts = rows[starts]
    whole = zip(starts.tolist(), stops.tolist(), firsts.tolist(), straight.tolist(), strict=True)
    return [Batch(start, stop, first if neighbours else None) for start, stop, first, neighbours in whole]


@dataclass(frozen=True, slots=True)
class Query:
    """The Offline query in the order in which it is answered. rows: where its samples lie.

    batches: those that no instance has taken yet; instances take from it side by side. neighbours: whether all batches
    are runs of neighbouring rows. Settled before any instance starts: who looks through a deque while others take from
    it gets a RuntimeError.
    """

    ids: list[int]
    indices: list[int]
    rows: NDArray[np.int64]
    batches: deque[Batch]
    neighbours: bool


class OfflineSut:
    """Offline: the one query in batches, spread over the instances, each batch completed as a whole."""

    _issued = 0

    def __init__(self, engine: Engine, library: Library, outcome: Outcome) -> None:
        self._workers = [_Worker(engine, predictor, outcome, pipelined=True) for predictor in engine.predictors]
        self._library = library
        self._outcome = outcome
        self._size = engine.batch

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

    def _work(self, worker: _Worker, query: Query, first: Batch) -> None:
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
        batches = chain((first,), _drain(query.batches))
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


def _drain(batches: deque[Batch]) -> Iterator[Batch]:
    """Take batches from the front until none is left; several threads may do so (popleft is atomic)."""
    while True:
        try:
            batch = batches.popleft()
        except IndexError:
            return
        yield batch


_Queue = SimpleQueue[tuple[int, int] | None]
"""Samples that wait, each with its id; None is the end."""


class ServerSut:
    """Server: the callback only queues; worker threads take what has come, up to a batch, and answer it.

    The first samples go to one instance each, so that none is idle throughout a run that others are quick enough for.
    """

    def __init__(self, engine: Engine, library: Library, outcome: Outcome) -> None:
        self._library = library
        self._outcome = outcome
        self._size, self._wait_s = engine.batch, engine.wait_s
        self._queue: _Queue = SimpleQueue()
        workers = [_Worker(engine, predictor, outcome) for predictor in engine.predictors]
        self._firsts: list[_Queue] = [SimpleQueue() for _ in workers]
        pairs = list(zip(workers, self._firsts, strict=True))
        self._threads = [threading.Thread(target=self._serve, args=pair, daemon=True) for pair in pairs]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queue the query's samples."""
        for pair in zip(ids, indices, strict=True):
            (self._firsts.pop() if self._firsts else self._queue).put(pair)

    def _serve(self, worker: _Worker, own: _Queue) -> None:
        """Answer a first sample and then what comes until the end; never raises."""
        try:
            space = _Space(self._library, self._size)
            first = own.get()
            while first is not None:
                self._answer(worker, space, [first, *self._more()])
                first = self._queue.get()
        except BaseException as error:  # noqa: BLE001 (no thread may die unnoticed)
            self._outcome.fail(error)

    def _answer(self, worker: _Worker, space: _Space, batch: list[tuple[int, int]]) -> None:
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


SUTS: dict[Scenario, Callable[[Engine, Library, Outcome], Sut]] = {
    Scenario.SINGLE_STREAM: InlineSut,
    Scenario.MULTI_STREAM: InlineSut,
    Scenario.OFFLINE: OfflineSut,
    Scenario.SERVER: ServerSut,
}
