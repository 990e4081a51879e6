"""Overhead of LoadGen and the harness: real SUTs, real LoadGen, and a predictor that does nothing."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import mlperf_loadgen as lg
import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Payload
from mlperf_docker.harness.backends.dummy.backend import NullPredictor
from mlperf_docker.harness.loadgen import running
from mlperf_docker.harness.loadgen.settings import SCENARIOS
from mlperf_docker.harness.loadgen.worker import Responder
from mlperf_docker.harness.samples.library import Library


class NoSamples:
    """Samples of one number each."""

    count = 1024
    lengths = None
    joined = Joined.PADDED

    def load(self, indices: Sequence[int]) -> Arrays:
        """Give zeros."""
        return (np.zeros((len(indices), 1), dtype=np.float32),)


LABELS = Interface((Tensor("zeros", "float32", (None, 1)),), (Tensor("ones", "int64", (None,)),))


def label(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> None:  # noqa: ARG001
    """Do what resnet50's postprocessing does."""
    out[:, 0] = outputs[0] - 1


def measure_overhead(scenario: Scenario, *, batch: int, queries: int, outdir: Path | None = None) -> float:
    """Measure nanoseconds a sample (Offline), or a query (SingleStream, MultiStream), from issue to issue.

    queries: samples in Offline. The figure is wall time, LoadGen's own included, over the number of them; for streams
    it is the inverse of LoadGen's own rate, without the start and end of the test.
    """
    settings = lg.TestSettings()
    settings.scenario, settings.mode = SCENARIOS[scenario], lg.TestMode.PerformanceOnly
    settings.min_duration_ms, settings.min_query_count, settings.max_query_count = 0, queries, queries
    settings.performance_sample_count_override = NoSamples.count
    responder = Responder((NullPredictor(LABELS),), label, Payload(np.float32, 1), batch)
    watch = running.Watch(progress=lambda _done: None, stuck=lambda _error: None)
    with tempfile.TemporaryDirectory() as temporary:
        folder = outdir or Path(temporary)
        start = perf_counter()
        running.run(running.LoadGenTest(scenario, settings, folder, Library(NoSamples()), responder), watch)
        wall_s = perf_counter() - start
        log = detail_log.read(folder)
    if scenario is Scenario.OFFLINE:
        rate = log.number("result_samples_per_second")
        return 1e9 / rate if rate else 1e9 * wall_s / queries
    rate = log.number("result_qps_with_loadgen_overhead")
    return 1e9 / rate if rate else 1e9 * wall_s / queries
