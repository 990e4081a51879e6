"""A LoadGen test in accuracy mode whose predictor answers with its input, in the current folder.

Usage: python -m tests.harness.loadgen.echo_sut SCENARIO BATCH INSTANCES PERFORMANCE_SAMPLES KIND

KIND is one of KINDS. It prints whether every sample was answered, and how many answers are right; or what failed.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Payload
from mlperf_docker.harness.loadgen import running
from mlperf_docker.harness.loadgen.settings import SCENARIOS
from mlperf_docker.harness.loadgen.worker import Responder
from mlperf_docker.harness.samples.library import Library

KINDS = ("plain", "lengths", "pieces", "samples", "slow", "reorder", "raise")
"""Equal samples; padded to several lengths; concatenated; payloads that are sample indices; payloads made beside the
next batch; answers in the wrong order; a predictor that fails."""
COUNT = 100
LENGTHS = 1 + np.arange(COUNT) * 7 % 12


@dataclass(frozen=True)
class Numbers:
    """Sample n holds the number n, as often as it is long."""

    kind: str
    count: int = COUNT

    @property
    def lengths(self) -> NDArray[Any] | None:
        return LENGTHS if self.kind in ("lengths", "pieces") else None

    @property
    def joined(self) -> Joined:
        return Joined.CONCATENATED if self.kind == "pieces" else Joined.PADDED

    def load(self, indices: Sequence[int]) -> Arrays:
        chosen = list(indices)
        if self.kind == "pieces":
            return (np.repeat(np.array(chosen, np.float32), LENGTHS[chosen]),)
        if self.kind != "lengths":
            return (np.array(chosen, dtype=np.float32).reshape(-1, 1),)
        rows = np.zeros((len(chosen), int(LENGTHS.max())), np.float32)
        for row, index in zip(rows, chosen, strict=True):
            row[: LENGTHS[index]] = index
        return (rows,)


class Echo:
    """Answers with its inputs."""

    def predict(self, inputs: Arrays) -> Arrays:
        return inputs

    def prove(self, inputs: Arrays) -> dict[str, Any]:
        return {}


class Reordering(Echo):
    def predict(self, inputs: Arrays) -> Arrays:
        return (inputs[0][::-1],)


class Raising(Echo):
    """Fails at its third batch."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, inputs: Arrays) -> Arrays:
        self.calls += 1
        if self.calls == 3:
            raise ValueError("no luck")
        return inputs


PREDICTORS: dict[str, type[Echo]] = {"reorder": Reordering, "raise": Raising}


@dataclass(frozen=True)
class Answers:
    """Makes payloads of outputs."""

    kind: str

    def __call__(self, outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int] | None:
        if self.kind == "pieces":
            ends = np.cumsum(LENGTHS[list(samples)])
            assert len(outputs[0]) == ends[-1]
            out[:, 0] = outputs[0][ends - 1]
        elif self.kind == "samples":
            out[:, 0] = samples
        else:
            out[:, :1] = outputs[0][:, :1]
        return [size(index) for index in samples] if self.kind == "slow" else None


def size(index: int) -> int:
    """Values in the payload of a sample, where payloads have several sizes."""
    return 1 + index % 3


def stuck(error: BaseException) -> None:
    sys.stdout.write(f"stuck: {error}\n")
    sys.stdout.flush()
    os._exit(3)


def verdict(kind: str) -> str:
    """Read LoadGen's accuracy log: whether every sample is in it, and how many answers are right."""
    entries = json.loads(Path("mlperf_log_accuracy.json").read_text())
    answers = {each["qsl_idx"]: np.frombuffer(bytes.fromhex(each["data"]), np.float32) for each in entries}
    right = [
        len(answer) == (size(index) if kind == "slow" else 1) and answer[0] == index
        for index, answer in answers.items()
    ]
    return f"{sorted(answers) == list(range(COUNT))} {sum(map(bool, right))}"


def main(scenario: Scenario, batch: int, instances: int, performance: int, kind: str) -> None:
    settings = lg.TestSettings()
    settings.scenario, settings.mode = SCENARIOS[scenario], lg.TestMode.AccuracyOnly
    settings.server_target_qps, settings.performance_sample_count_override = 2000, performance
    payload = Payload(np.float32, 3 if kind == "slow" else 1, slow=kind == "slow")
    predictors = tuple(PREDICTORS.get(kind, Echo)() for _ in range(instances))
    responder = Responder(predictors, Answers(kind), payload, batch, wait_s=0.001)
    watch = running.Watch(progress=lambda done: None, stuck=stuck)
    try:
        running.run(running.LoadGenTest(scenario, settings, Path(), Library(Numbers(kind)), responder), watch)
    except ValueError as error:
        sys.stdout.write(f"failed: {error}\n")
    else:
        sys.stdout.write(f"{verdict(kind)}\n")


if __name__ == "__main__":
    _, name, size_of_batch, count, loaded, chosen_kind = sys.argv
    main(Scenario(name), int(size_of_batch), int(count), int(loaded), chosen_kind)
