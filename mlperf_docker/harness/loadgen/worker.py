"""Worker of one instance: batches in, responses out of a fixed buffer."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import mlperf_loadgen as lg
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.api.samples import Payload, Postprocess
from mlperf_docker.harness.samples.library import Library


@dataclass(frozen=True, slots=True)
class Responder:
    """Predictors, one for each instance, and the payload made from their outputs."""

    predictors: tuple[Predictor, ...]
    postprocess: Postprocess
    payload: Payload
    batch: int
    """Largest batch."""
    wait_s: float = 0.0
    """Time that Server waits for more samples once it has one."""
    names: tuple[str, ...] = ()
    """Names of the predictors' outputs, if they have any."""


class Tally:
    """State so far: samples answered by each instance, the first failure, and the first value not finite."""

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

    def __init__(self, payload: Payload, batch: int, tally: Tally) -> None:
        self.buffer: NDArray[Any] = np.zeros((batch, payload.width), dtype=payload.dtype)
        address, _ = self.buffer.__array_interface__["data"]
        size = self.buffer.strides[0]
        self._responses = [lg.QuerySampleResponse(0, address + size * slot, size) for slot in range(batch)]
        self._one = self._responses[:1]
        self._value_bytes = self.buffer.itemsize
        self.completed = 0
        tally.register(self)

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


class Worker:
    """Predictor with its own buffer of answers; a thread at a time uses it.

    pipelined: payloads that are slow to make are made in a second thread, while the predictor has the next batch.
    """

    def __init__(self, responder: Responder, predictor: Predictor, tally: Tally, *, pipelined: bool = False) -> None:
        self._predict = predictor.predict
        self._postprocess = responder.postprocess
        self._answers = Answers(responder.payload, responder.batch, tally)
        self._buffer = self._answers.buffer
        self._first = self._buffer[:1]
        self._names = responder.names
        self._floats: list[int] | None = None
        self._outcome = tally
        self._finisher = ThreadPoolExecutor(1, "finish") if pipelined and responder.payload.slow else None
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


class Space:
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
