"""Options of a run for a round: its seeds, and Offline's count."""

from dataclasses import replace

import pytest

from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.rounds.loading import load
from mlperf_docker.rounds.options import for_round
from mlperf_docker.rounds.round import Round, Seeds

ROUNDS = load()
each_round = pytest.mark.parametrize("round_", ROUNDS.all, ids=lambda each: each.name)


def seeds(options: RunOptions) -> Seeds:
    found = {name: getattr(options, name) for name in Seeds.model_fields}
    return Seeds(**found)


@each_round
def test_a_run_for_a_round_has_its_seeds(round_: Round) -> None:
    options = RunOptions(min_duration_s=5.0)
    found = for_round(options, "resnet50", round_)
    assert seeds(found) == round_.seeds
    assert found.min_duration_s == 5.0
    test05 = for_round(replace(options, compliance=ComplianceTest.TEST05), "resnet50", round_)
    assert seeds(test05) == (round_.test05_seeds or round_.seeds)


@pytest.mark.parametrize(("model", "count"), [("resnet50", 24576), ("bert", 10833), ("3d-unet", 43)])
def test_an_offline_query_has_the_rounds_count(model: str, count: int) -> None:
    assert for_round(RunOptions(), model, ROUNDS.newest).min_query_count == count
    for other in (RunOptions(mode=Mode.ACCURACY), RunOptions(scenario=Scenario.SERVER)):
        assert for_round(other, model, ROUNDS.newest).min_query_count is None
