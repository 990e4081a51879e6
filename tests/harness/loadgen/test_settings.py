"""Settings of LoadGen: minimum counts, user.conf, and what the embedded configuration makes of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.loadgen.settings import Hints, user_conf, wanted
from mlperf_docker.harness.models import registry
from tests.harness.process import environment

HINTS = Hints(qps=100.0, latency_s=0.02)


def keys(scenario: Scenario, duration: float | None = None, qps: float | None = None) -> dict[str, object]:
    return wanted(scenario, HINTS, min_duration_s=duration, target_qps=qps)


def test_an_official_run_changes_only_the_hint() -> None:
    assert keys(Scenario.OFFLINE) == {"target_qps": "100.333"}
    assert keys(Scenario.SERVER) == {"target_qps": "25"}
    assert keys(Scenario.SINGLE_STREAM) == {"target_latency": "16"}
    assert keys(Scenario.OFFLINE, 600, qps=90) == {"target_qps": "90", "min_duration": 600_000}


def test_a_short_run_needs_fewer_samples() -> None:
    assert keys(Scenario.OFFLINE, 20) == {"target_qps": "110", "min_duration": 20_000, "min_query_count": 2200}
    assert keys(Scenario.SERVER, 5, qps=50) == {"target_qps": "50", "min_duration": 5000, "min_query_count": 1001}
    assert keys(Scenario.MULTI_STREAM, 5) == {"target_latency": "16", "min_duration": 5000}


def test_a_model_that_issues_all_samples_equally_often_gets_a_hint_that_ends_its_run() -> None:
    found = wanted(Scenario.SINGLE_STREAM, HINTS, min_duration_s=None, target_qps=None, equal_issue=True)
    # 2 · 600 s / 32 ms: 37500 queries of 20 ms take 750 s.
    assert found == {"target_latency": "32"}
    found = wanted(Scenario.SINGLE_STREAM, HINTS, min_duration_s=5, target_qps=None, equal_issue=True)
    assert found == {"target_latency": "32", "min_duration": 5000, "min_query_count": 64}
    offline = wanted(Scenario.OFFLINE, HINTS, min_duration_s=None, target_qps=None, equal_issue=True)
    assert offline == keys(Scenario.OFFLINE)


@pytest.mark.parametrize("model", registry.packages())
def test_models_with_equal_issue_are_those_of_loadgen(tmp_path: Path, model: str) -> None:
    program = f"""
import mlperf_loadgen as lg
s = lg.TestSettings()
s.FromConfig("", {model!r}, "SingleStream", 0)
print(s.sample_concatenate_permutation)
"""
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=30)
    assert done.stdout.strip() == str(registry.load(model).equal_issue)


@pytest.mark.parametrize(
    ("scenario", "given", "least"),
    [
        (Scenario.OFFLINE, 24576, 24576),
        (Scenario.OFFLINE, 43, 700),
        (Scenario.SERVER, 100, 1001),
        (Scenario.SERVER, 270_336, 270_336),
        (Scenario.SINGLE_STREAM, 1024, 1024),
        (Scenario.MULTI_STREAM, 662, 662),
    ],
)
def test_a_short_run_of_a_round_reaches_its_count(scenario: Scenario, given: int, least: int) -> None:
    found = wanted(scenario, HINTS, min_duration_s=5, target_qps=None, min_query_count=given)
    assert found == {**keys(scenario, 5), "min_query_count": least}
    official = wanted(scenario, HINTS, min_duration_s=None, target_qps=None, min_query_count=given)
    assert official["min_query_count"] == given


def test_servers_bound_may_be_another_rounds() -> None:
    found = wanted(Scenario.SERVER, HINTS, min_duration_s=None, target_qps=None, bound_ms=30)
    assert found == {"target_qps": "25", "target_latency": 30}


def test_the_users_own_keys_win_also_as_wildcards() -> None:
    given = "# mine\n*.Offline.target_qps = 7\n\nresnet50.*.min_duration = 9\n"
    text = user_conf("resnet50", Scenario.OFFLINE, {"target_qps": 1, "min_duration": 2, "min_query_count": 3}, given)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "*.Offline.target_qps = 7",
        "resnet50.*.min_duration = 9",
        "resnet50.Offline.min_query_count = 3",
    ]


def in_child(tmp_path: Path, text: str, samples: int, *seeds: str) -> subprocess.CompletedProcess[str]:
    """LoadGen reads its embedded configuration once in a process, so each case has its own."""
    line = [sys.executable, "-m", "tests.harness.loadgen.embedded_settings", text, str(samples), *seeds]
    return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=30)


@pytest.mark.parametrize(("samples", "performance"), [(64, 64), (5000, 1024)])
def test_the_embedded_configuration_is_read_first(tmp_path: Path, samples: int, performance: int) -> None:
    text = "# c\nresnet50.Offline.target_qps = 12.5\n*.*.mode = 2\n"
    done = in_child(tmp_path, text, samples)
    assert done.stdout.split()[:5] == ["12.5", "600000", "24576", str(performance), "AccuracyOnly"]
    assert int(done.stdout.split()[5]) > 0, "the seeds of the round"
    assert (tmp_path / "user.conf").read_text() == text


def test_a_seed_of_another_round_takes_the_place_of_mlperf_confs(tmp_path: Path) -> None:
    usual = in_child(tmp_path, "# c\n", 64).stdout.split()[5:]
    found = in_child(tmp_path, "# c\n", 64, f"schedule_rng_seed={2**64 - 1}").stdout.split()[5:]
    assert found == [*usual[:2], str(2**64 - 1)]
    assert "0" not in usual


def test_a_file_that_loadgen_refuses_is_an_error(tmp_path: Path) -> None:
    done = in_child(tmp_path, "#no blank\n", 64)
    assert "UsageError: LoadGen refuses user.conf" in done.stderr
