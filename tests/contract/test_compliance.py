"""Options of compliance runs, and the settings that an earlier run must share with them."""

from typing import Any

import pytest

from mlperf_docker.contract.compliance import contradictions, problem
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode

TESTS = (ComplianceTest.TEST01, ComplianceTest.TEST05)


@pytest.mark.parametrize(
    ("options", "user_conf", "said"),
    [
        ({"compliance": ComplianceTest.TEST04}, False, "bert has no TEST04: it has TEST01, TEST05."),
        ({"compliance": ComplianceTest.TEST01, "mode": Mode.ACCURACY}, False, "exclude each other"),
        ({"compliance": ComplianceTest.TEST01}, True, "takes the user.conf of the performance run"),
    ],
)
def test_a_compliance_run_that_cannot_be_is_refused(options: dict[str, Any], user_conf: bool, said: str) -> None:
    found = problem(RunOptions(**options), "bert", TESTS, user_conf=user_conf)
    assert found is not None
    assert said in found.message


def test_a_model_of_no_round_has_no_compliance_test() -> None:
    found = problem(RunOptions(compliance=ComplianceTest.TEST01), "toy", (), user_conf=False)
    assert found is not None
    assert found.message == "toy has no TEST01: it has none."


@pytest.mark.parametrize("options", [{}, {"compliance": ComplianceTest.TEST01}, {"mode": Mode.ACCURACY}])
def test_other_runs_are_not_refused(options: dict[str, Any]) -> None:
    assert problem(RunOptions(**options), "bert", TESTS, user_conf="compliance" not in options) is None


SETTINGS = {"min_duration_ms": 5000, "target_qps": 123.457, "batch_size": 8, "threads": 2, "dataset_samples": 64}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_duration_s": 5.0, "target_qps": 123.4567, "batch_size": 8, "samples": 64}, []),
        ({"min_duration_s": 600.0}, ["its min_duration_ms is 5000, not 600000"]),
        ({"batch_size": 4, "threads_per_instance": 1}, ["its batch_size is 8, not 4", "its threads is 2, not 1"]),
        ({"instances": 2}, []),
    ],
)
def test_a_run_of_other_settings_is_told_apart(options: dict[str, Any], said: list[str]) -> None:
    """What a result does not tell, an older version's, contradicts nothing."""
    assert list(contradictions(RunOptions(**options), SETTINGS)) == said


def test_a_batch_of_parts_is_what_batch_size_says() -> None:
    settings = {"batch_size": 1, "parts_per_batch": 6}
    assert list(contradictions(RunOptions(batch_size=6), settings)) == []
    assert list(contradictions(RunOptions(batch_size=1), settings)) == ["its parts_per_batch is 6, not 1"]
