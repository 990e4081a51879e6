"""Answers compared: the first value decides, and all of them are told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlperf_docker.harness.compliance import answers
from mlperf_docker.harness.compliance.answers import AnswerComparison
from mlperf_docker.harness.samples import accuracy_log
from tests.harness.compliance.logs import write_log


def floats(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


def compared(folder: Path, before: Any, now: Any, kind: Any = np.float32) -> AnswerComparison:
    reference = accuracy_log.indexed(write_log(folder / "reference.json", before))
    return answers.compare(reference, write_log(folder / "test.json", now), kind)


def test_the_same_answers_pass(tmp_path: Path) -> None:
    before = [(0, floats(1, 2)), (1, b""), (2, floats(3, 4))]
    found = compared(tmp_path, before, [(2, floats(3, 4)), (1, b""), (2, floats(3, 4))])
    assert found.passed
    assert (found.logged, found.compared, found.differing, found.largest_difference) == (3, 3, 0, 0.0)
    assert list(found.samples) == [2, 1]


def test_a_difference_behind_the_first_value_passes_and_is_told(tmp_path: Path) -> None:
    found = compared(tmp_path, [(0, floats(1, 2)), (1, floats(5, 6))], [(0, floats(1, 2.5)), (1, floats(5, 7))])
    assert found.passed
    assert (found.differing, found.first_element_differing, found.largest_difference) == (2, 0, 1.0)


@pytest.mark.parametrize("now", [floats(1.0000001, 2), b"", floats(2)])
def test_another_first_value_fails(tmp_path: Path, now: bytes) -> None:
    found = compared(tmp_path, [(0, floats(1, 2))], [(0, now)])
    assert not found.passed
    assert found.first_element_differing == found.differing == 1


def test_a_sample_that_the_accuracy_run_did_not_answer_fails(tmp_path: Path) -> None:
    found = compared(tmp_path, [(0, floats(1))], [(0, floats(1)), (1, floats(1))])
    assert not found.passed
    assert (found.compared, found.unknown) == (1, 1)


def test_no_answer_fails(tmp_path: Path) -> None:
    assert not compared(tmp_path, [(0, floats(1))], []).passed


@pytest.mark.parametrize(
    ("kind", "before", "now", "largest"),
    [
        (np.int64, [1, 5], [1, 2], 3.0),
        (np.uint8, [0, 2, 255], [0, 2, 1], 254.0),
        (np.float32, [1.5, 2.5], [1.5, 2.5000002], 2.384185791015625e-07),
        (np.int64, [7, 8, 9], [7], 0.0),
    ],
)
def test_the_difference_is_in_the_type_of_the_values(
    tmp_path: Path, kind: Any, before: list[float], now: list[float], largest: float
) -> None:
    """Lengths may differ, as those of transcripts: then the shorter one says how far is compared."""
    arrays = (np.array(each, kind).tobytes() for each in (before, now))
    found = compared(tmp_path, [(0, next(arrays))], [(0, next(arrays))], kind)
    assert found.differing == 1
    assert found.largest_difference == largest


def test_a_large_answer_is_compared_in_parts() -> None:
    before = np.zeros(3_000_000, np.uint8)
    now = before.copy()
    now[-1] = 2
    assert answers.largest_difference(before.tobytes(), now.tobytes(), np.uint8) == 2.0
