"""SUT of SingleStream and MultiStream: answers queries inside issue_query."""

import numpy as np

from mlperf_docker.harness.loadgen.worker import Responder, Space, Tally, Worker, complete_with_nothing
from mlperf_docker.harness.samples.library import Library


class InlineSut:
    """SingleStream and MultiStream: a query is one batch, answered inside the callback.

    Handing it to a thread would add its wake-up, some 40 µs, to each latency.
    """

    def __init__(self, responder: Responder, library: Library, tally: Tally) -> None:
        self._worker = Worker(responder, responder.predictors[0], tally)
        self._library = library
        self._outcome = tally
        self._space = Space(library, responder.batch)

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
