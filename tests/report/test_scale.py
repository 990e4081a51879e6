"""Scales: positions, and round marks."""

import pytest

from mlperf_docker.report import scale


@pytest.mark.parametrize(
    ("values", "greatest", "marks"),
    [
        ([0.7, 3.2], 4, (0, 1, 2, 3, 4)),
        ([97], 100, (0, 20, 40, 60, 80, 100)),
        ([0, float("nan"), float("inf")], 1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        ([123456], 125000, (0, 25000, 50000, 75000, 100000, 125000)),
    ],
)
def test_an_even_scale_begins_at_zero_and_ends_round(
    values: list[float], greatest: float, marks: tuple[float, ...]
) -> None:
    found = scale.even(values)
    assert (found.least, found.greatest) == (0, greatest)
    assert found.marks() == marks


def test_a_scale_around_equal_values_has_a_span() -> None:
    assert scale.around([5, 5]).position(5) == 0.5
    assert scale.around([0]).position(0) == 0.5


def test_equal_factors_are_equally_far_apart() -> None:
    found = scale.decades([1, 100])
    steps = [found.position(value) for value in (1, 10, 100)]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1])
    assert {1, 10, 100} <= set(found.marks())
    assert found.position(0) == 0


def test_nines_are_equally_far_apart() -> None:
    found = scale.nines([50, 99.9])
    assert [found.position(value) for value in (0, 90, 99, 99.9)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert found.marks() == (0, 50, 90, 99, 99.9)


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.1], [0.001, 0.0011], [1.0, 1e9]])
def test_every_logarithmic_scale_has_marks(values: list[float]) -> None:
    found = scale.decades(values)
    assert len(found.marks()) >= 2
    assert all(found.least <= each <= found.greatest for each in found.marks())
