"""The measurement before a test, with a predictor whose times are known."""

import time

import numpy as np
import pytest

from mlperf_docker.harness import calibrate
from mlperf_docker.harness.backends.base import Arrays
from mlperf_docker.harness.calibrate import Speed, fastest, largest_within
from mlperf_docker.harness.errors import DeviceMemoryError
from mlperf_docker.harness.names import Scenario

BATCHES = (1, 2, 4, 8, 16, 32)
INPUTS: Arrays = (np.zeros((32, 1), np.float32),)


class Clock:
    """A predictor that takes fixed seconds a call and a sample, on a clock of its own."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, call_s: float, sample_s: float, room: int | None = None
    ) -> None:
        self.room = room
        self.now, self.call_s, self.sample_s, self.sizes = 0.0, call_s, sample_s, list[int]()
        monkeypatch.setattr(calibrate, "perf_counter", lambda: self.now)

    def predict(self, inputs: Arrays) -> Arrays:
        if self.room is not None and len(inputs[0]) > self.room:
            raise DeviceMemoryError("too large")
        self.sizes.append(len(inputs[0]))
        self.now += self.call_s + self.sample_s * len(inputs[0])
        return inputs

    def prove(self, inputs: Arrays) -> dict[str, str]:
        return {}


def test_a_cost_per_call_favours_the_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.01, sample_s=0.001)
    assert fastest(calibrate.calibrate(clock, INPUTS, BATCHES)).batch == 32


def test_samples_may_differ_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.01, sample_s=0.001)
    ends = np.array([3, 4, 9, 12])
    speeds = calibrate.calibrate(clock, INPUTS, BATCHES, ends=ends)
    assert [speed.batch for speed in speeds] == [1, 2, 4]
    assert set(clock.sizes) == {3, 4, 12}


def test_equal_rates_favour_the_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=0.001)
    assert fastest(calibrate.calibrate(clock, INPUTS, BATCHES)).batch == 32


def test_a_batch_that_is_really_slower_is_not_taken() -> None:
    speeds = [Speed(1, (0.010,) * 3), Speed(8, (0.060,) * 3), Speed(32, (0.300, 0.260, 0.265))]
    assert fastest(speeds).batch == 8


def test_one_slow_moment_does_not_decide() -> None:
    assert fastest([Speed(8, (0.09, 0.09, 0.09)), Speed(32, (0.32, 9.0, 0.32))]).batch == 32


def test_the_budget_is_kept_and_the_smallest_size_always_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=1.0)
    speeds = calibrate.calibrate(clock, INPUTS, BATCHES, budget_s=30)
    assert clock.now <= 30
    assert speeds[0].batch == 1
    clock = Clock(monkeypatch, call_s=0.0, sample_s=100.0)
    assert [speed.batch for speed in calibrate.calibrate(clock, INPUTS, BATCHES, budget_s=30)] == [1]
    assert len(clock.sizes) <= 2 + calibrate.ROUNDS


def test_a_small_set_cuts_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=0.001)
    few: Arrays = (np.zeros((5, 1), np.float32),)
    assert [speed.batch for speed in calibrate.calibrate(clock, few, BATCHES)] == [1, 2, 4, 5]


def test_streams_measure_their_own_size_and_a_user_his() -> None:
    assert calibrate.candidates(Scenario.SINGLE_STREAM, 4, BATCHES) == (1,)
    assert calibrate.candidates(Scenario.MULTI_STREAM, 4, BATCHES) == (8,)
    assert calibrate.candidates(Scenario.OFFLINE, 4, BATCHES) == (4,)
    assert calibrate.candidates(Scenario.SERVER, None, BATCHES) == BATCHES


def test_sizes_that_do_not_fit_into_memory_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.01, sample_s=0.001, room=5)
    speeds = calibrate.calibrate(clock, INPUTS, BATCHES)
    assert [speed.batch for speed in speeds] == [1, 2, 4]
    assert all(len(speed.seconds) > 1 for speed in speeds)
    with pytest.raises(DeviceMemoryError):
        calibrate.calibrate(clock, INPUTS, (8, 16))


def test_server_takes_what_fits_its_bound() -> None:
    speeds = [Speed(1, (0.002,)), Speed(2, (0.004,)), Speed(4, (0.009,))]
    assert largest_within(speeds, 0.005).batch == 2
    assert largest_within(speeds, 0.001).batch == 1


def test_real_time_passes() -> None:
    class Sleeper(Clock):
        def __init__(self) -> None:
            pass

        def predict(self, inputs: Arrays) -> Arrays:
            time.sleep(0.002)
            return inputs

    (speed,) = calibrate.calibrate(Sleeper(), INPUTS, (32,))
    assert 0.002 <= speed.mean_s < 0.05
