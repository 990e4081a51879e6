"""Trials on disk: what was asked, the result or the problem, a kill between, and what other versions left."""

from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.results import store as results
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning.store import TRIALS, TrialStore
from mlperf_docker.tuning.trials import Purpose, Trial
from tests.results.run_results import write_run

TRIAL = Trial(
    purpose=Purpose.RATE,
    scenario=Scenario.SERVER,
    options=TunedOptions(target_qps=0.1 + 0.2),
    min_duration_s=1.5,
)


def written(root: Path, name: str, qps: float = 0.1 + 0.2, **changes: Any) -> RunResult:
    options = {"scenario": "Server", "target_qps": qps, "min_duration_s": 1.5}
    request = {"command": [], "source": "0", "options": options, "limits": {}}
    blank = dict.fromkeys(("dataset", "model_file", "user_conf", "profile"))
    return write_run(root, name, scenario="Server", request={**request, **blank}, **changes)


def test_a_trial_is_ended_once_its_result_is_named(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.begin(1, TRIAL)
    (tmp_path / "20261129T000000.000-killed").mkdir()
    assert store.ended(1, TRIAL) is None
    fields: dict[str, Any] = {
        "settings": {"target_latency_ns": 15e6, "batch_size": 4, "threads": 1, "instances": 2},
        "valid": False,
        "reasons": ["p99 is too long"],
        "loadgen_errors": ["error_runtime: Ending early: Too many outstanding queries."],
    }
    store.end(1, TRIAL, written(tmp_path, "20261129T000001.000-ended", **fields))
    ended = store.ended(1, TRIAL)
    assert ended is not None
    assert (ended.folder, ended.trial) == ("20261129T000001.000-ended", TRIAL)
    assert (ended.figure, ended.p99_ns, ended.bound_ns, ended.batch_size) == (123.456, 3e6, 15e6, 4)
    assert (ended.valid, ended.drowned, ended.problem) == (False, True, "p99 is too long")
    assert ended.rated().aborted


def test_a_result_that_a_kill_left_without_its_trial_is_adopted_once(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    written(tmp_path, "20261129T000001.000-other", qps=7.0)
    store.begin(1, TRIAL)
    assert store.ended(1, TRIAL) is None
    result = written(tmp_path, "20261129T000002.000-left")
    ended = store.ended(1, TRIAL)
    assert ended is not None
    assert ended.folder == result.name
    store.adopt(1, TRIAL)
    store.begin(2, TRIAL)
    assert store.ended(2, TRIAL) is None
    assert store.ended(1, TRIAL) == ended


def test_a_trial_whose_result_was_removed_is_made_again(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.begin(1, TRIAL)
    result = written(tmp_path, "20261129T000002.000-gone")
    store.end(1, TRIAL, result)
    (tmp_path / result.name / results.RESULT_FILE).unlink()
    assert store.ended(1, TRIAL) is None


def test_a_trial_that_failed_is_ended_with_its_problem(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    failed = store.fail(2, TRIAL, "no memory")
    assert store.ended(2, TRIAL) == failed
    assert failed.problem == "no memory"


def test_a_trial_of_another_version_stays_aside_and_counts_for_nothing(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    store.begin(1, TRIAL)
    path = tmp_path / TRIALS / "001.json"
    path.write_text('{"purpose": "guess"}')
    assert store.ended(1, TRIAL) is None
    store.begin(1, TRIAL)
    (aside,) = [each for each in (tmp_path / TRIALS).iterdir() if each != path]
    assert aside.read_text() == '{"purpose": "guess"}'
    store.begin(1, TRIAL)
    assert len(list((tmp_path / TRIALS).iterdir())) == 2


def test_a_second_tuning_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first, second = TrialStore(tmp_path), TrialStore(tmp_path)
    with first.claimed(print), pytest.raises(UsageError, match="Another `tune`"), second.claimed(print):
        pass
