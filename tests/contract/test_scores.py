"""Scores: which values meet a target, by its sense, and how a target is shown."""

import math

import pytest

from mlperf_docker.contract.scores import Bound, Sense, bound_text, reaches


@pytest.mark.parametrize(
    ("sense", "target", "met", "missed"),
    [
        (Sense.AT_LEAST, 75.5, (75.5, 76.0, math.inf), (75.4999, 0.0)),
        (Sense.AT_MOST, 6.2, (6.2, 6.1, 0.0), (6.2001, math.inf)),
        (Sense.BETWEEN, (23.01, 23.95), (23.01, 23.5, 23.95), (23.009, 23.951)),
        (Sense.EXACTLY, 87.5, (87.5,), (87.4999, 87.5001)),
    ],
)
def test_values_at_the_bound_and_beyond(
    sense: Sense, target: Bound, met: tuple[float, ...], missed: tuple[float, ...]
) -> None:
    assert [reaches(value, sense, target) for value in met] == [True] * len(met)
    assert [reaches(value, sense, target) for value in missed] == [False] * len(missed)
    assert not reaches(math.nan, sense, target)


def test_an_exact_score_may_be_off_by_its_tolerance() -> None:
    assert reaches(87.51, Sense.EXACTLY, 87.5, tolerance=0.02)
    assert not reaches(87.53, Sense.EXACTLY, 87.5, tolerance=0.02)
    assert not reaches(87.51, Sense.AT_LEAST, 87.52, tolerance=0.02)


def test_targets_in_words() -> None:
    assert bound_text(Sense.AT_LEAST, 75.6954) == "75.6954"
    assert bound_text(Sense.EXACTLY, 87.5, 2) == "87.50"
    assert bound_text(Sense.AT_MOST, 6.2, 3) == "at most 6.200"
    assert bound_text(Sense.BETWEEN, (23.01, 23.95)) == "23.01 to 23.95"
