"""Trials on disk: what was asked, the result or the problem, and what other versions left."""

from pathlib import Path

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning.store import PROBLEM_FILE, TRIAL_FILE, TrialStore
from mlperf_docker.tuning.trials import Purpose, Trial
from tests.results.run_results import write_run

TRIAL = Trial(
    purpose=Purpose.RATE,
    scenario=Scenario.SERVER,
    options=TunedOptions(target_qps=0.1 + 0.2),
    min_duration_s=1.5,
)


def test_a_trial_is_done_once_its_result_is_there(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    place = store.place(1, TRIAL)
    assert store.done(1, TRIAL) is None
    (place / "20261129T000000.000-killed").mkdir()
    assert store.done(1, TRIAL) is None
    fields = {
        "settings": {"target_latency_ns": 15e6, "batch_size": 4, "threads": 1, "instances": 2},
        "valid": False,
        "reasons": ["p99 is too long"],
        "loadgen_errors": ["error_runtime: Ending early: Too many outstanding queries."],
    }
    write_run(place, "20261129T000001.000-ended", scenario="Server", **fields)
    done = store.done(1, TRIAL)
    assert done is not None
    assert (done.folder, done.trial) == ("001/20261129T000001.000-ended", TRIAL)
    assert (done.figure, done.p99_ns, done.bound_ns, done.batch_size) == (123.456, 3e6, 15e6, 4)
    assert (done.valid, done.drowned, done.problem) == (False, True, "p99 is too long")
    assert done.rated().aborted


def test_a_trial_that_failed_is_done_with_its_problem(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    failed = store.fail(2, TRIAL, "no memory")
    assert store.done(2, TRIAL) == failed
    assert failed.problem == "no memory"
    assert (tmp_path / "002" / PROBLEM_FILE).is_file()


def test_a_trial_of_another_version_stays_and_counts_for_nothing(tmp_path: Path) -> None:
    store = TrialStore(tmp_path)
    place = store.place(1, TRIAL)
    (place / TRIAL_FILE).write_text('{"purpose": "guess"}')
    other = store.place(1, TRIAL)
    assert (place.name, other.name) == ("001", "001-2")
    assert store.place(1, TRIAL) == other
    assert (place / TRIAL_FILE).read_text() == '{"purpose": "guess"}'


def test_a_second_tuning_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (
        TrialStore(tmp_path).claimed(),
        pytest.raises(UsageError, match="Another `tune`"),
        TrialStore(tmp_path).claimed(),
    ):
        pass
