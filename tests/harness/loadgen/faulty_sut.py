"""A LoadGen test with two instances, one part of which fails.

Usage: python -m tests.harness.loadgen.faulty_sut SCENARIO FAULT

It prints what the failure says, in the current folder, or "passed" and the samples of each instance.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import mlperf_loadgen as lg
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.api.samples import Payload
from mlperf_docker.harness.loadgen import batches, offline, running, worker
from mlperf_docker.harness.loadgen.settings import SCENARIOS
from mlperf_docker.harness.samples.library import Library
from tests.harness.loadgen.numbered_samples import Numbers

COUNT = 50


class Echo:
    """Answers with its inputs."""

    def predict(self, inputs: Arrays) -> Arrays:
        return inputs

    def prove(self, inputs: Arrays) -> dict[str, Any]:
        return {}


class Spoiling(Echo):
    """Answers NaN to sample 7."""

    def predict(self, inputs: Arrays) -> Arrays:
        return (np.where(inputs[0] == 7, np.nan, inputs[0]),)


class Refusing(Echo):
    """Says itself that its output for sample 7 is not finite."""

    def predict(self, inputs: Arrays) -> Arrays:
        if (inputs[0] == 7).any():
            raise NotFiniteError("the inner output", row=int((inputs[0] == 7).argmax()))
        return inputs


class Leaving(Echo):
    """Ends the thread that calls it."""

    def predict(self, inputs: Arrays) -> Arrays:
        raise SystemExit("left")


def payloads(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int]:
    out[:, :1] = outputs[0]
    return [1 for _ in samples]


def too_long(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int]:
    return [1000 for _ in samples]


def refused(*_: object) -> NoReturn:
    raise RuntimeError("can't start new thread")


def no_room(*_: object) -> NoReturn:
    raise MemoryError("no room")


def first_only(self: offline.OfflineSut, query: batches.Query, first: batches.Batch) -> Any:
    yield first, self._library.run_of(first.start, first.stop)
    query.batches.clear()


def start_without_second(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    return lambda thread: refused() if "_work" in thread.name else start(thread)


def spoil(fault: str) -> None:
    """Put *fault* in place of what works."""
    match fault:
        case "gather":
            Library.gather = no_room  # type: ignore[method-assign,assignment]
        case "room":
            Library.buffers = no_room  # type: ignore[method-assign,assignment]
        case "thread":
            threading.Thread.start = start_without_second(threading.Thread.start)  # type: ignore[method-assign,assignment]
        case "finisher":
            ThreadPoolExecutor.submit = refused  # type: ignore[method-assign,assignment]
        case "lost":
            offline.OfflineSut._ready = first_only  # type: ignore[method-assign]


def stuck(error: BaseException) -> None:
    sys.stdout.write(f"ended: {error}\n")
    sys.stdout.flush()
    os._exit(0)


def main(scenario: Scenario, fault: str) -> None:
    spoil(fault)
    settings = lg.TestSettings()
    settings.scenario, settings.mode = SCENARIOS[scenario], lg.TestMode.PerformanceOnly
    settings.min_duration_ms, settings.min_query_count = 0, 120
    settings.max_query_count = 120
    settings.server_target_qps, settings.performance_sample_count_override = 20_000, COUNT
    kinds: dict[str, type[Echo]] = {"leave": Leaving, "nan": Spoiling, "inside": Refusing}
    second = kinds.get(fault, Echo)()
    first = Echo() if fault == "leave" else second
    predictors = (first, second) if scenario in (Scenario.SERVER, Scenario.OFFLINE) else (second,)
    # With a batch that does not divide the set, Offline has to gather.
    batch = 10 if fault in ("thread", "lost", "leave") else 9
    postprocess = too_long if fault == "long" else payloads
    payload = Payload(np.float32, 1, slow=fault in ("finisher", "inside"))
    responder = worker.Responder(predictors, postprocess, payload, batch, wait_s=0.01, names=("number",))
    watch = running.Watch(progress=lambda done: None, stuck=stuck)
    try:
        tally = running.run(running.LoadGenTest(scenario, settings, Path(), Library(Numbers(COUNT)), responder), watch)
    except BaseException as error:  # noqa: BLE001 (whatever a SUT remembers)
        sys.stdout.write(f"failed: {error}\n")
    else:
        said = f"not finite: {tally.not_finite}" if tally.not_finite else "passed"
        sys.stdout.write(f"{said} {tally.by_instance}\n")


if __name__ == "__main__":
    main(Scenario(sys.argv[1]), sys.argv[2])
