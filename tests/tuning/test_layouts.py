"""Layouts that are worth a trial."""

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning.layouts import divisors, on_accelerators, on_processors


def pairs(found: tuple[TunedOptions, ...]) -> list[tuple[int | None, int | None]]:
    return [(each.instances, each.threads_per_instance) for each in found]


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (1, [1]),
        (2, [1, 2]),
        (7, [1, 7]),
        (12, [1, 2, 4, 12]),
        (64, [1, 2, 4, 8, 16, 32, 64]),
        (96, [1, 2, 4, 8, 16, 32, 96]),
    ],
)
def test_divisors_are_some_way_apart(number: int, found: list[int]) -> None:
    assert divisors(number) == found


def test_layouts_of_offline_share_all_processors_out_or_use_half_of_them() -> None:
    assert pairs(on_processors(Scenario.OFFLINE, 1)) == []
    assert pairs(on_processors(Scenario.OFFLINE, 2)) == [(2, 1), (1, 1)]
    assert pairs(on_processors(Scenario.SERVER, 8)) == [(2, 4), (4, 2), (8, 1), (1, 4)]


def test_layouts_of_one_query_at_a_time_have_fewer_threads() -> None:
    assert pairs(on_processors(Scenario.SINGLE_STREAM, 8)) == [(None, 1), (None, 2), (None, 4)]
    assert pairs(on_processors(Scenario.MULTI_STREAM, 1)) == []


def test_layouts_of_accelerators_are_more_instances() -> None:
    assert pairs(on_accelerators(Scenario.OFFLINE, 2)) == [(4, None), (8, None)]
    assert on_accelerators(Scenario.SINGLE_STREAM, 1) == ()
