"""Batches, rows and failures, without LoadGen; and whole LoadGen tests in child processes."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.loadgen.batches import Batch, cut
from mlperf_docker.harness.loadgen.worker import not_finite
from mlperf_docker.harness.samples.library import Library
from tests.harness.loadgen.numbered_samples import Numbers
from tests.harness.process import environment


def test_neighbouring_rows_are_told_from_others() -> None:
    rows = np.array([0, 1, 2, 3, 4, 0, 1, 9, 8])
    assert cut(rows, 3) == [Batch(0, 3, 0), Batch(3, 6, None), Batch(6, 9, None)]
    assert cut(np.arange(5), 2) == [Batch(0, 2, 0), Batch(2, 4, 2), Batch(4, 5, 4)]
    assert cut(np.array([7]), 4) == [Batch(0, 1, 7)]


def test_rows_follow_the_order_of_loading() -> None:
    library = Library(Numbers(100))
    library.load([30, 10, 20, 10])
    assert library.find([10, 30, 20]).tolist() == [1, 0, 2]
    assert library.singles[20][0].tolist() == [[20]]
    assert library.run_of(0, 2)[0].ravel().tolist() == [30, 10]
    gathered = library.gather(np.array([2, 0]), library.buffers(4))
    assert gathered[0].ravel().tolist() == [20, 30]


class Words:
    """Sample n is the number n, 1 + n % 5 times, then zeros."""

    joined = Joined.PADDED
    count = 100
    lengths = 1 + np.arange(100) % 5

    def load(self, indices: Sequence[int]) -> Arrays:
        rows = np.zeros((len(indices), 5), dtype=np.int64)
        for row, index in zip(rows, indices, strict=True):
            row[: self.lengths[index]] = index
        return rows, rows.astype(np.int32)


def test_samples_of_different_length_lie_by_falling_length_and_batches_end_with_their_longest() -> None:
    library = Library(Words())
    library.load([10, 3, 21, 8, 5, 3])
    assert library.find([3, 8, 21, 10, 5]).tolist() == [0, 1, 2, 3, 4]
    assert library.singles[21][0].tolist() == [[21, 21]]
    longs, ints = library.run_of(1, 4)
    assert longs.tolist() == ints.tolist() == [[8, 8, 8, 8], [21, 21, 0, 0], [10, 0, 0, 0]]
    assert longs.flags.c_contiguous
    assert [longs.dtype, ints.dtype] == [np.dtype(np.int64), np.dtype(np.int32)]
    space = library.buffers(3)
    gathered = library.gather(np.array([4, 2]), space)
    assert gathered[0].tolist() == [[5, 0], [21, 21]]
    assert gathered[0].flags.c_contiguous
    assert np.shares_memory(gathered[0], space[0])


def test_a_query_of_different_lengths_is_answered_longest_first() -> None:
    library = Library(Words())
    library.load([0, 4, 2, 9])
    rows = library.find([0, 9, 2, 0, 4])
    order = library.order(rows)
    assert order is not None
    assert [Words.lengths[[0, 9, 2, 0, 4][i]] for i in order] == [5, 5, 3, 1, 1]
    same = Library(Numbers(100))
    same.load([1, 2])
    assert same.order(same.find([2, 1])) is None


class Pieces:
    """Sample n is the number n, 1 + n % 5 times."""

    joined = Joined.CONCATENATED
    count = 100
    lengths = 1 + np.arange(100) % 5

    def load(self, indices: Sequence[int]) -> Arrays:
        numbers = np.repeat(indices, self.lengths[list(indices)])
        return numbers, np.stack([numbers, -numbers], axis=1).astype(np.int32)


def test_concatenated_samples_lie_as_they_are_named_and_batches_are_as_long_as_all_of_them() -> None:
    library = Library(Pieces())
    library.load([10, 3, 21, 8, 3])
    rows = library.find([3, 8, 21, 10])
    assert rows.tolist() == [1, 3, 2, 0]
    assert library.order(rows) is None
    assert library.singles[21][0].tolist() == [21, 21]
    numbers, pairs = library.run_of(1, 3)
    assert numbers.tolist() == [3, 3, 3, 3, 21, 21]
    assert np.shares_memory(numbers, library.arrays[0])
    assert pairs.tolist() == [[n, -n] for n in numbers]
    space = library.buffers(4)
    numbers, pairs = library.gather(rows, space)
    assert numbers.tolist() == [3] * 4 + [8] * 4 + [21] * 2 + [10]
    assert pairs[:, 1].tolist() == (-numbers).tolist()
    assert np.shares_memory(numbers, space[0])
    library.gather(np.array([1, 1, 3, 3]), space)  # the longest four there can be


def test_unloaded_samples_are_not_found() -> None:
    library = Library(Numbers(100))
    library.load([1, 2])
    library.unload([1, 2])
    with pytest.raises(KeyError):
        library.find([1])


def echo(tmp_path: Path, scenario: Scenario, kind: str = "plain", **options: int) -> str:
    given = {"batch": 8, "instances": 1, "performance": 64, **options}
    numbers = [str(given[name]) for name in ("batch", "instances", "performance")]
    line = [sys.executable, "-m", "tests.harness.loadgen.echo_sut", scenario.value, *numbers, kind]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("scenario", list(Scenario))
def test_every_sample_is_answered_with_its_own_answer(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario) == "True 100"


@pytest.mark.parametrize("scenario", [Scenario.OFFLINE, Scenario.SERVER])
def test_also_with_instances_and_sets_that_batches_do_not_divide(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, batch=7, instances=3, performance=33) == "True 100"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_payloads_of_different_length_made_beside_the_next_batch(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, "slow", batch=8, instances=2 if scenario is Scenario.OFFLINE else 1) == "True 100"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_a_payload_may_hold_its_samples_number(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, "samples", batch=8, performance=33) == "True 100"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_samples_of_different_length_get_their_own_answers(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, "lengths", batch=8, performance=33) == "True 100"


@pytest.mark.parametrize("scenario", list(Scenario))
def test_concatenated_samples_get_their_own_answers(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, "pieces", batch=8, performance=33) == "True 100"


def test_a_wrong_order_within_a_batch_shows(tmp_path: Path) -> None:
    everyone, right = echo(tmp_path, Scenario.OFFLINE, "reorder", batch=10).split()
    assert everyone == "True"
    assert int(right) < 10


@pytest.mark.parametrize("scenario", list(Scenario))
def test_a_failing_sample_fails_the_run_and_ends_cleanly(tmp_path: Path, scenario: Scenario) -> None:
    assert echo(tmp_path, scenario, "raise", batch=8) == "failed: no luck"


def faulty(tmp_path: Path, scenario: Scenario, fault: str) -> str:
    line = [sys.executable, "-m", "tests.harness.loadgen.faulty_sut", scenario.value, fault]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("scenario", [Scenario.OFFLINE, Scenario.SERVER])
def test_every_instance_has_its_share_and_is_counted(tmp_path: Path, scenario: Scenario) -> None:
    said = faulty(tmp_path, scenario, "none")
    shares = [int(share) for share in said.removeprefix("passed (").removesuffix(")").split(", ")]
    assert (len(shares), sum(shares), min(shares) > 0) == (2, 120, True)


@pytest.mark.parametrize(
    ("scenario", "fault", "message"),
    [
        *[(scenario, "gather", "no room") for scenario in Scenario if scenario is not Scenario.SINGLE_STREAM],
        *[(scenario, "leave", "left") for scenario in Scenario],
        *[(scenario, "long", "an answer of 1000 values") for scenario in Scenario],
        (Scenario.OFFLINE, "room", "no room"),
        (Scenario.SERVER, "room", "no room"),
        (Scenario.OFFLINE, "thread", "can't start new thread"),
        (Scenario.OFFLINE, "finisher", "can't start new thread"),
        (Scenario.OFFLINE, "lost", "100 of 120 samples were not answered"),
    ],
)
def test_an_instance_that_ends_early_fails_the_run(
    tmp_path: Path, scenario: Scenario, fault: str, message: str
) -> None:
    ending, said = faulty(tmp_path, scenario, fault).split(": ", 1)
    assert ending in ("failed", "ended")
    assert message in said


@pytest.mark.parametrize("scenario", list(Scenario))
@pytest.mark.parametrize(
    ("fault", "message"),
    [("nan", "output number of sample 7 is not finite: nan"), ("inside", "the inner output of sample 7 is not finite")],
)
def test_an_output_that_is_not_finite_is_named_and_the_test_goes_on(
    tmp_path: Path, scenario: Scenario, fault: str, message: str
) -> None:
    said = faulty(tmp_path, scenario, fault)
    assert said.startswith(f"not finite: {message} (")
    assert sum(map(int, re.findall(r"\d+(?=[,)])", said.split("(")[1]))) in (120, 8 * 120)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_values_that_are_not_finite_are_found_in_outputs_of_any_kind(
    value: float, dtype: type[np.floating[Any]]
) -> None:
    labels, scores = np.zeros(3, dtype=np.int64), np.ones((3, 5)).astype(dtype)
    assert not_finite((labels, scores), ("labels", "scores"), (4, 5, 6)) is None
    scores[1, 4] = value
    said = f"is not finite: {value}"
    assert not_finite((labels, scores), ("labels", "scores"), (4, 5, 6)) == f"output scores of sample 5 {said}"
    assert not_finite((scores,), (), (8, 9)) == f"output number 1 of a batch from sample 8 on {said}"
