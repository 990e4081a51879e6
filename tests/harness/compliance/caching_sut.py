"""A LoadGen test whose SUT takes a while for each sample, and with CACHE=1 none for one that it has just had.

Usage: python -m tests.harness.compliance.caching_sut SCENARIO FOLDER AUDIT CACHE

AUDIT: an audit.config, or `-` for none. The logs are in FOLDER.
"""

import sys
import time
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.samples import Payload, write_rows
from mlperf_docker.harness.loadgen import running
from mlperf_docker.harness.loadgen.settings import SCENARIOS
from mlperf_docker.harness.loadgen.worker import Responder
from mlperf_docker.harness.samples.library import Library
from tests.harness.loadgen.numbered_samples import Numbers

COUNT = 64
SAMPLE_S = 0.01
QUERIES = 100


class Slow:
    """Answers with its inputs, after a while."""

    def __init__(self, *, caches: bool) -> None:
        self._caches = caches
        self._last: float | None = None

    def predict(self, inputs: Arrays) -> Arrays:
        for value in inputs[0][:, 0].tolist():
            if not (self._caches and value == self._last):
                time.sleep(SAMPLE_S)
            self._last = value
        return (inputs[0], np.ones(len(inputs[0]), np.int64))

    def prove(self, inputs: Arrays) -> dict[str, Any]:
        return {}


def settings(scenario: Scenario) -> lg.TestSettings:
    own = lg.TestSettings()
    own.scenario, own.mode = SCENARIOS[scenario], lg.TestMode.PerformanceOnly
    own.min_duration_ms, own.min_query_count = 1, QUERIES
    own.performance_sample_count_override = COUNT
    own.offline_expected_qps = QUERIES
    own.single_stream_expected_latency_ns = 30_000_000
    return own


def main(scenario: str, folder: str, audit: str, caches: str) -> None:
    kind = Scenario(scenario)
    responder = Responder((Slow(caches=caches == "1"),), write_rows, Payload(np.float32, 1), 4)
    library = Library(Numbers(COUNT), lambda shape, dtype: np.empty(shape, dtype))
    path = None if audit == "-" else Path(audit)
    test = running.LoadGenTest(kind, settings(kind), Path(folder), library, responder, audit=path)
    running.run(test, running.Watch(progress=lambda done: None, stuck=lambda error: None))


if __name__ == "__main__":
    main(*sys.argv[1:])
