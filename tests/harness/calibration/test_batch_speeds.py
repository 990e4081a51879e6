"""The measurement before a test, with a predictor whose times are known."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import DeviceMemoryError
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.calibration import batch_speeds
from mlperf_docker.harness.calibration.batch_speeds import Speed, fastest, fastest_within
from mlperf_docker.harness.calibration.typical_batches import excess, typical

BATCHES = (1, 2, 4, 8, 16, 32)
INPUTS: Arrays = (np.zeros((32, 1), np.float32),)


class Clock:
    """A predictor that takes fixed seconds a call and a sample, on a clock of its own."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, call_s: float, sample_s: float, room: int | None = None
    ) -> None:
        self.room = room
        self.now, self.call_s, self.sample_s, self.sizes = 0.0, call_s, sample_s, list[int]()
        monkeypatch.setattr(batch_speeds, "perf_counter", lambda: self.now)

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
    assert fastest(batch_speeds.calibrate(clock, INPUTS, BATCHES)).batch == 32


def test_equal_rates_favour_the_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=0.001)
    assert fastest(batch_speeds.calibrate(clock, INPUTS, BATCHES)).batch == 32


def test_a_batch_that_is_really_slower_is_not_taken() -> None:
    speeds = [Speed(1, (0.010,) * 3), Speed(8, (0.060,) * 3), Speed(32, (0.300, 0.260, 0.265))]
    assert fastest(speeds).batch == 8


def test_one_slow_moment_does_not_decide() -> None:
    assert fastest([Speed(8, (0.09, 0.09, 0.09)), Speed(32, (0.32, 9.0, 0.32))]).batch == 32


def test_the_budget_is_kept_and_the_smallest_size_always_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=1.0)
    speeds = batch_speeds.calibrate(clock, INPUTS, BATCHES, budget_s=30)
    assert clock.now <= 30
    assert speeds[0].batch == 1
    clock = Clock(monkeypatch, call_s=0.0, sample_s=100.0)
    assert [speed.batch for speed in batch_speeds.calibrate(clock, INPUTS, BATCHES, budget_s=30)] == [1]
    assert len(clock.sizes) <= 2 + batch_speeds.ROUNDS


def test_a_small_set_cuts_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.0, sample_s=0.001)
    few: Arrays = (np.zeros((5, 1), np.float32),)
    assert [speed.batch for speed in batch_speeds.calibrate(clock, few, BATCHES)] == [1, 2, 4, 5]


def test_streams_measure_their_own_size_and_a_user_his() -> None:
    assert batch_speeds.candidates(Scenario.SINGLE_STREAM, 4, BATCHES) == (1,)
    assert batch_speeds.candidates(Scenario.MULTI_STREAM, 4, BATCHES) == (8,)
    assert batch_speeds.candidates(Scenario.OFFLINE, 4, BATCHES) == (4,)
    assert batch_speeds.candidates(Scenario.SERVER, None, BATCHES) == BATCHES


def test_sizes_that_do_not_fit_into_memory_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, call_s=0.01, sample_s=0.001, room=5)
    speeds = batch_speeds.calibrate(clock, INPUTS, BATCHES)
    assert [speed.batch for speed in speeds] == [1, 2, 4]
    assert all(len(speed.seconds) > 1 for speed in speeds)
    with pytest.raises(DeviceMemoryError):
        batch_speeds.calibrate(clock, INPUTS, (8, 16))


def test_server_takes_the_fastest_that_fits_its_bound() -> None:
    speeds = [Speed(1, (0.002,)), Speed(2, (0.004,)), Speed(4, (0.007,))]
    assert fastest_within(speeds, 0.008).batch == 4
    assert fastest_within(speeds, 0.005).batch == 2
    assert fastest_within(speeds, 0.001).batch == 1
    assert fastest_within([Speed(1, (0.001, 0.003)), Speed(8, (0.03, 0.03))], 0.1).batch == 1


class Words:
    """Sample n has n + 1 tokens of the value n."""

    count = 64
    lengths = np.arange(1, 65)
    joined = Joined.PADDED

    def load(self, indices: Sequence[int]) -> Arrays:
        return (np.array([[index] * (index + 1) + [0] * (63 - index) for index in indices]),)


def test_samples_of_about_the_mean_length_stand_for_sorted_batches() -> None:
    (batch,) = typical(Words(), 4, by_length=True)(3, 7)
    assert sorted(batch[:, 0]) == [30, 31, 32], "of 31 and 32, as near to the mean, the first counts"
    assert batch.shape == (3, 33)


def test_samples_of_all_lengths_stand_for_queries() -> None:
    batches = typical(Words(), 4, by_length=False)
    singles = [batches(1, turn)[0] for turn in range(32)]
    found = [int(single[0, 0]) for single in singles]
    assert [single.shape[1] for single in singles] == [number + 1 for number in found]
    assert len(set(found)) == 32
    assert min(found) == 0
    assert max(found) == 63
    assert found[:8] != sorted(found[:8])
    assert abs(np.mean(found[:8]) - 31.5) < 12
    pair = batches(2, 1)[0]
    assert [int(row[0]) for row in pair] == found[2:4]


class Pieces(Words):
    joined = Joined.CONCATENATED

    def load(self, indices: Sequence[int]) -> Arrays:
        return (np.concatenate([np.full(index + 1, index) for index in indices]),)


def test_concatenated_samples_are_as_many_rows_as_they_have_together() -> None:
    (rows,) = typical(Pieces(), 4, by_length=True)(3, 0)
    assert sorted(set(rows)) == [30, 31, 32]
    assert len(rows) == 31 + 32 + 33
    (rows,) = typical(Pieces(), 4, by_length=False)(1, 5)
    assert set(rows) == {len(rows) - 1}


def test_a_small_set_is_repeated() -> None:
    (batch,) = typical(Words(), 100, by_length=True)(100, 0)
    # An eighth of it: as in a query that has every sample many times, neighbours are nearly as long.
    assert (batch.shape, sorted(set(batch[:, 0]))) == ((100, 36), list(range(28, 36)))
    assert len(typical(Words(), 100, by_length=False)(100, 0)[0]) == 100


def test_real_time_passes() -> None:
    class Sleeper(Clock):
        def __init__(self) -> None:
            pass

        def predict(self, inputs: Arrays) -> Arrays:
            time.sleep(0.002)
            return inputs

    (speed,) = batch_speeds.calibrate(Sleeper(), INPUTS, (32,))
    assert 0.002 <= speed.mean_s < 0.05


class Spread(Words):
    """Samples of given lengths."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = np.array(lengths)
        self.count = len(lengths)

    def load(self, indices: Sequence[int]) -> Arrays:
        return (np.zeros((len(indices), int(self.lengths.max())), np.int64),)


@pytest.mark.parametrize("call", [0, 1000], ids=["by length", "also by call"])
@pytest.mark.parametrize(
    "lengths",
    [(10, 100), (10,) * 45 + (100,) * 55, (10,) * 55 + (100,) * 45, (10,) * 90 + (1000,) * 10, tuple(range(1, 400))],
    ids=["one of each", "more long", "more short", "few very long", "even"],
)
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_query_sized_by_the_batches_measured_is_not_over_too_early(
    lengths: tuple[int, ...], size: int, call: int
) -> None:
    def seconds(tokens: int) -> int:
        return call + tokens

    samples = Spread(*lengths)
    (batch,) = typical(samples, 16, by_length=True)(size, 0)
    estimated = excess(samples, 16) * size / seconds(batch.size)
    query = sorted(lengths * size)
    real = len(query) / sum(seconds(size * max(query[n : n + size])) for n in range(0, len(query), size))
    assert estimated >= real * (1 - 1e-9)


def test_samples_about_the_mean_are_hardly_longer() -> None:
    assert excess(Spread(*range(1, 2001)), 8) == pytest.approx(1, abs=0.01)
    assert excess(Spread(7, 7, 7), 4) == 1
