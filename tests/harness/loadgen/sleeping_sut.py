"""A Server test of LoadGen's whose predictor sleeps 2 ms for each sample, in the current folder.

Usage: python -m tests.harness.loadgen.sleeping_sut QPS SECONDS MOST_WAITING

MOST_WAITING is in latency bounds, 0 for no limit. It prints the verdict, p99 and LoadGen's error entries as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np

from mlperf_docker.contract import detail_log
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.samples import Payload
from mlperf_docker.harness.loadgen import logs, running
from mlperf_docker.harness.loadgen.settings import SCENARIOS, SERVER_QUERIES, end_early
from mlperf_docker.harness.loadgen.worker import Responder
from mlperf_docker.harness.samples.library import Library
from tests.harness.loadgen.faulty_sut import COUNT, payloads, stuck
from tests.harness.loadgen.numbered_samples import Numbers

SAMPLE_S, BOUND_S = 0.002, 0.1


class Sleeping:
    """Sleeps as long for each sample, so that one instance has a known capacity."""

    def predict(self, inputs: Arrays) -> Arrays:
        time.sleep(SAMPLE_S * len(inputs[0]))
        return inputs

    def prove(self, inputs: Arrays) -> dict[str, Any]:
        return {}


def main(qps: float, seconds: float, most_waiting: float) -> None:
    settings = lg.TestSettings()
    settings.scenario, settings.mode = SCENARIOS[Scenario.SERVER], lg.TestMode.PerformanceOnly
    settings.min_duration_ms, settings.min_query_count = int(seconds * 1000), SERVER_QUERIES
    settings.server_target_qps, settings.server_target_latency_ns = qps, int(BOUND_S * 1e9)
    settings.performance_sample_count_override = COUNT
    settings.schedule_rng_seed = 1
    if most_waiting:
        end_early(settings, most_waiting)
    responder = Responder((Sleeping(),), payloads, Payload(np.float32, 1), 1, names=("number",))
    test = running.LoadGenTest(Scenario.SERVER, settings, Path(), Library(Numbers(COUNT)), responder)
    running.run(test, running.Watch(progress=lambda done: None, stuck=stuck))
    log = detail_log.read(Path())
    latency = logs.latency_ns(log, Scenario.SERVER)
    found = {"valid": logs.valid(log), "p99_ns": latency["p99"] if latency else None, "errors": log.errors}
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
