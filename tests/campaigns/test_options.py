"""Options in campaign.yaml: the names and values of `run`."""

import pytest

from mlperf_docker.campaigns.options import given, run_options
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find_model
from mlperf_docker.contract.options import RunOptions, declared
from mlperf_docker.contract.words import SyntheticSize

MODELS = Catalog.load()


def test_every_option_of_a_run_can_be_given_but_those_that_the_plan_decides() -> None:
    decided = {"precision", "scenario", "mode", "compliance"}
    expected = {each.name for each in declared(RunOptions) if not each.only_harness} - decided
    assert {each.name for each in run_options().values()} == expected


def test_values_are_those_of_the_command_line() -> None:
    found, problems = given({"synthetic": "Tiny", "min_duration": 2, "cpuset": 0, "trace": True}, None)
    assert problems == []
    assert found.run == {"synthetic": SyntheticSize.TINY, "min_duration_s": 2.0, "trace": True}
    assert found.limits == {"cpuset": "0"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("min_duration", "long", "is no number"),
        ("min_duration", 0, "is not from 0.001"),
        ("batch_size", 1.5, "is no whole number"),
        ("batch_size", True, "is no whole number"),
        ("synthetic", "huge", "Unknown synthetic size"),
        ("trace", "yes please", "true or false"),
        ("memory", "much", "is not a size"),
        ("cpus", -1, "is no number of processors"),
        ("mode", "accuracy", "Unknown option"),
        ("target-qps", 1, "Did you mean target_qps"),
        ("max_ind_range", 1, "Unknown option"),
        ("target_qps", float("nan"), "is not from 0.001"),
        ("target_qps", None, "is no number"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: object, message: str) -> None:
    found, problems = given({name: value}, find_model(MODELS, "resnet50"))
    assert (found.run, found.limits, found.model) == ({}, {}, {})
    ((where, told),) = problems
    assert (where, message in told) == (name, True), told


def test_an_option_of_the_model_is_taken_for_its_runs() -> None:
    model = next(each for each in MODELS.models if each.options_of("run"))
    option = model.options_of("run")[0]
    name, value = option.name.replace("-", "_"), option.choices[0] if option.choices else option.least
    found, problems = given({name: value}, model)
    assert problems == []
    assert found.model_options.names == (option.name,)
