"""Harness of a result in words."""

from mlperf_docker.results.text import harness_text, result_text
from mlperf_docker.results.values import HarnessUsed
from tests.results.run_results import run_result


def test_a_reference_is_told_with_the_commits_of_all_its_code() -> None:
    plain = {"name": "reference", "commit": "0" * 40, "changed": False}
    assert harness_text(HarnessUsed.model_validate(plain)) == f"reference, commit {'0' * 40}"
    with_code = {**plain, "code": {"commit": "1" * 40, "changed": True}}
    told = f"reference, commit {'0' * 40}; model code, commit {'1' * 40} with local changes"
    assert harness_text(HarnessUsed.model_validate(with_code)) == told


def test_the_device_is_told_as_it_was_proved_or_why_it_was_not() -> None:
    assert "provider CPUExecutionProvider" in result_text(run_result())
    without = run_result(device_proof={"proved": False, "why": "nothing says it"})
    assert "not proved: nothing says it" in result_text(without)
