"""Estimates of the time that runs take, from earlier results."""

from pathlib import Path

import pytest

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.estimates import Estimate, total
from mlperf_docker.campaigns.text import time_text
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, named, planned, plans

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 10}}\n"


@pytest.fixture
def resnet(tmp_path: Path) -> Campaign:
    return campaign(tmp_path, "- model: resnet50", TINY)


def test_a_run_takes_its_minimum_duration_at_least(resnet: Campaign, tmp_path: Path) -> None:
    plan = planned(resnet)
    assert named(plan, "SingleStream performance").estimate == Estimate(10.0)
    assert named(plan, "Offline performance").estimate == Estimate(10.0, at_least=True)
    assert named(plan, "Offline accuracy").estimate == Estimate(None)
    of_round = planned(campaign(tmp_path, "- {model: resnet50, options: {synthetic: full}}"))
    assert named(of_round, "SingleStream performance").estimate == Estimate(600.0)


def test_a_known_rate_tells_how_long_the_rounds_samples_take(resnet: Campaign) -> None:
    maker = plans(resnet)
    accuracy = {"samples": 1000, "duration_s": 10.0}
    finish(named(maker.plan(), "SingleStream accuracy"), maker, **accuracy)
    plan = maker.plan()
    assert named(plan, "Offline accuracy").estimate == Estimate(10.0)
    assert named(plan, "Offline performance").estimate == Estimate(24576 / 100)
    assert named(plan, "Offline TEST01").estimate == Estimate(24576 / 100)


def test_a_run_that_was_made_before_takes_as_long_again(resnet: Campaign) -> None:
    maker = plans(resnet)
    finish(named(maker.plan(), "Offline performance"), maker, valid=False, duration_s=33.0)
    assert named(maker.plan(), "Offline performance").estimate == Estimate(33.0)
    assert named(maker.plan(), "Offline TEST04").estimate == Estimate(33.0)


def test_the_whole_is_at_least_what_is_known_of_its_parts() -> None:
    assert total([Estimate(1.0), Estimate(2.0)]) == Estimate(3.0)
    assert total([Estimate(1.0), Estimate(None)]) == Estimate(1.0, at_least=True)
    assert total([Estimate(None)]) == Estimate(None, at_least=True)
    assert total([]) == Estimate(0.0)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Estimate(12.3), "about 12 s"),
        (Estimate(600.0), "about 10 min"),
        (Estimate(9000.0, at_least=True), "at least 2.5 h"),
        (Estimate(None), "unknown time"),
    ],
)
def test_a_time_is_told_in_the_unit_that_fits(found: Estimate, text: str) -> None:
    assert time_text(found) == text
