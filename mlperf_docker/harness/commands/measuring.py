"""Batch size and expected rate of a run, from short measurements."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlperf_docker.contract.compliance import PARTS
from mlperf_docker.contract.events import Phase
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.events import Events
from mlperf_docker.harness.api.samples import D, F, S
from mlperf_docker.harness.calibration import batch_speeds
from mlperf_docker.harness.calibration.typical_batches import excess, typical
from mlperf_docker.harness.commands.loading import LoadedModel, Prepared
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.loadgen import settings

ACCELERATOR_WAIT_S = 0.001
"""On a GPU a larger batch is nearly free, so Server waits this long for more samples; on a CPU waiting only costs."""

SPARE = 1.1
"""By how much more than the best rate measured an Offline query is sized for: one that ends early is INVALID."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of the calibration."""

    batch: int
    """Samples per batch."""
    hints: settings.Hints
    settings: Mapping[str, Any]
    """Chosen values, for the result."""


def measure(
    options: LoadgenRun,
    benchmark: Benchmark[D, F, S],
    prepared: Prepared[D, S],
    loaded: LoadedModel[F, S],
    events: Events,
) -> Measured:
    """The batch size to use, and the hints for LoadGen."""
    events.phase(Phase.CALIBRATE)
    whole = loaded.instances.whole
    tuned = whole.tune(options.batch_size) if whole else None
    if tuned is not None:
        # The batch is of parts of a sample: samples come one by one.
        known = settings.hints(rate=options.copies / tuned.sample_s, latency_s=tuned.sample_s)
        return Measured(1, known, {"batch_size": 1, PARTS: tuned.batch})
    worth = benchmark.batches(options.cell.device, options.scenario)
    sizes = batch_speeds.candidates(options.scenario, options.batch_size, worth)
    batches = typical(prepared.samples, max(sizes), by_length=options.scenario is Scenario.OFFLINE)
    speeds = batch_speeds.calibrate_on(batches, loaded.instances.predictors[0], sizes)
    if options.scenario is Scenario.SERVER:
        # A third of the bound: a sample may have to wait for one batch before its own starts.
        bound_s = options.target_latency_ms / 1000 if options.target_latency_ms else benchmark.server_bound_s
        chosen, first = batch_speeds.fastest_within(speeds, bound_s / 3), speeds[0]
        batch = options.batch_size or chosen.batch
        known = settings.hints(rate=first.batch / first.mean_s * options.copies, latency_s=first.mean_s)
        return Measured(batch, known, {"batch_size": batch})
    best = batch_speeds.fastest(speeds)
    batch = options.batch_size or best.batch
    longer = excess(prepared.samples, max(sizes)) if options.scenario is Scenario.OFFLINE else 1.0
    rate = SPARE * longer * max(speed.best_rate for speed in speeds) * options.copies
    # A hint that is too long costs the run, which ends early; one that is too short a few bytes a query.
    return Measured(batch, settings.hints(rate=rate, latency_s=best.quickest_s), {"batch_size": batch})
