"""Calibration before a test: what LoadGen is told of a machine whose other processes disturb it."""

from types import SimpleNamespace
from typing import Any

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.calibration import batch_speeds
from mlperf_docker.harness.calibration.batch_speeds import Speed
from mlperf_docker.harness.commands import measuring

DISTURBED = (0.0031, 0.0004, 0.0029, 0.0005)


@pytest.mark.parametrize("scenario", [Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM])
def test_a_stream_expects_the_latency_of_its_quickest_query(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean would let the queries of the minimum duration run out, as they are prepared beforehand."""
    monkeypatch.setattr(batch_speeds, "calibrate_on", lambda _batches, _predictor, sizes: [_speed(sizes)])
    monkeypatch.setattr(measuring, "typical", lambda *_, **__: None)
    options: Any = SimpleNamespace(batch_size=None, copies=1, scenario=scenario, cell=SimpleNamespace(device="cpu"))
    benchmark: Any = SimpleNamespace(batches=lambda _device, _scenario: (1,))
    loaded: Any = SimpleNamespace(instances=SimpleNamespace(whole=None, predictors=[None]))
    prepared: Any = SimpleNamespace(samples=None)
    found = measuring.measure(options, benchmark, prepared, loaded, events=SimpleNamespace(phase=lambda _: None))  # type: ignore[arg-type]
    assert found.hints.latency_s == min(DISTURBED)


def _speed(sizes: tuple[int, ...]) -> Speed:
    return Speed(sizes[0], DISTURBED)
