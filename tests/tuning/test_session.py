"""Tuning from the request to the profile, with runs that are made up."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Precision, Scenario, SyntheticSize
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import ContainerError, Interrupted, UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import profile
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.system import paths
from mlperf_docker.tuning import session
from mlperf_docker.tuning.session import TuneRequest, shown, tune
from mlperf_docker.tuning.store import TRIALS, KeptTrial
from mlperf_docker.tuning.text import tuned_text
from mlperf_docker.tuning.trials import Purpose
from tests.fakes.engine import FakeDisplay
from tests.results.run_results import run_result
from tests.tuning.test_search import Machine

NOTHING: Callable[[RunRequest], None] = lambda _: None  # noqa: E731


@dataclass
class MadeUpRuns:
    """Runs on a simulated machine. before: called with each request, and may raise."""

    machine: Machine
    before: Callable[[RunRequest], None] = NOTHING
    requests: list[RunRequest] = field(default_factory=list)

    def run(self, request: RunRequest, display: Display) -> RunResult:
        self.before(request)
        self.requests.append(request)
        place = request.root
        newest = max(path for path in (place / TRIALS).glob("???.json"))
        trial = KeptTrial.model_validate_json(newest.read_text()).trial
        found = self.machine.done(trial)
        if found.problem is not None:
            raise UsageError(found.problem)
        with store.claim(place, request.title, display.say) as folder:
            figure = {"name": "figure", "value": found.figure, "unit": "samples/s"}
            settings = {"batch_size": found.batch_size, "instances": found.instances, "threads": found.threads}
            bound = {"target_latency_ns": found.bound_ns} if found.bound_ns else {}
            latency = {"mean": 1.0, "p50": 1.0, "p90": 1.0, "p99": found.p99_ns or 1.0}
            errors = ["Ending early: Too many outstanding queries."] if found.drowned else []
            fields = {"metric": figure, "latency_ns": latency, "valid": found.valid, "loadgen_errors": errors}
            result = run_result(
                scenario=trial.scenario, settings={**settings, **bound}, **fields, results_dir=str(folder)
            )
            store.write(result, folder)
            return result


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> MadeUpRuns:
    made = MadeUpRuns(Machine())
    monkeypatch.setattr(session, "run", lambda request, display: made.run(request, display))
    return made


@pytest.fixture
def asked(resnet50: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TuneRequest:
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    options = RunOptions(scenario=Scenario.SERVER, synthetic=SyntheticSize.TINY, target_latency_ms=200)
    return TuneRequest(RunRequest(resnet50, options, Limits(), Sources("mlperf-docker")), short_s=5.0)


def test_a_tuning_leaves_a_profile_that_a_run_takes(asked: TuneRequest, runs: MadeUpRuns) -> None:
    tuned = tune(asked, FakeDisplay())
    assert tuned.profile is not None
    found = profile.find(profile.default_name(asked.run.spec, Precision.FP32, Scenario.SERVER))
    assert found == tuned.profile
    assert (found.trials, found.figure) == (len(tuned.tried), found.options.target_qps)
    said: list[str] = []
    options = found.applied(asked.run.spec, replace(asked.run.options, target_latency_ms=None), Limits(), said.append)
    assert (options.instances, options.target_qps, options.target_latency_ms) == (4, found.options.target_qps, 200)
    assert said == []
    assert [point.valid for point in found.curve if point.full and point.target_qps == found.options.target_qps] == [
        True
    ]


def test_trials_are_runs_of_their_own_and_only_short_rates_may_end_early(asked: TuneRequest, runs: MadeUpRuns) -> None:
    tuned = tune(asked, FakeDisplay())
    assert {request.root for request in runs.requests} == {tuned.folder}
    assert len({each.folder for each in tuned.tried}) == len(tuned.tried) == len(store.read_all(tuned.folder).results)
    for request, done in zip(runs.requests, tuned.tried, strict=True):
        options, purpose = request.options, done.trial.purpose
        assert (options.most_waiting is not None) == (purpose is Purpose.RATE)
        assert (options.min_duration_s is None) == (purpose is Purpose.FULL)
        assert options.scenario is done.trial.scenario
        assert (options.target_latency_ms == 200) == (options.scenario is Scenario.SERVER)
        assert (tuned.folder / done.folder / store.RESULT_FILE).is_file()


def test_a_tuning_goes_on_where_it_was_interrupted_and_repeats_nothing(asked: TuneRequest, runs: MadeUpRuns) -> None:
    whole = tune(replace(asked, run=replace(asked.run, options=replace(asked.run.options, samples=7))), FakeDisplay())

    def interrupt(_: RunRequest) -> None:
        if len(runs.requests) == 5:
            runs.before = NOTHING
            raise KeyboardInterrupt

    runs.requests.clear()
    runs.machine.trials.clear()
    runs.before = interrupt
    with pytest.raises(Interrupted, match="5 finished trials are kept") as caught:
        tune(asked, FakeDisplay())
    assert "same command goes on" in str(caught.value.hint)
    tuned = tune(asked, FakeDisplay())
    assert len(runs.requests) == len(tuned.tried) == len(whole.tried)
    assert tuned.verdict == whole.verdict


def test_a_limit_on_trials_ends_a_call_and_the_next_one_goes_on(asked: TuneRequest, runs: MadeUpRuns) -> None:
    first = tune(replace(asked, most_trials=3), FakeDisplay())
    assert (len(first.tried), first.verdict, first.profile) == (3, None, None)
    assert first.stopped == "3 trials were made"
    second = tune(replace(asked, budget_s=1e-9), FakeDisplay())
    assert len(second.tried) == 3
    assert tune(asked, FakeDisplay()).profile is not None
    listed = shown(asked, FakeDisplay())
    assert len(listed.tried) == len(runs.requests)
    assert listed.verdict is not None


def test_a_layout_that_fails_is_kept_with_its_problem_and_other_failures_are_raised(
    asked: TuneRequest, runs: MadeUpRuns
) -> None:
    runs.machine.most_instances = 1
    tuned = tune(asked, FakeDisplay())
    assert "memory" in "".join(each.problem or "" for each in tuned.tried)
    assert tuned.profile is not None
    assert tuned.profile.options.instances in (None, 1)

    def die(_: RunRequest) -> None:
        raise ContainerError("It died.")

    runs.before = die
    with pytest.raises(ContainerError):
        tune(replace(asked, short_s=6.0), FakeDisplay())


def test_an_outcome_is_told_with_its_curve_and_its_trials(asked: TuneRequest, runs: MadeUpRuns) -> None:
    tuned = tune(asked, FakeDisplay())
    text = tuned_text(tuned, None)
    assert "Gain:" in text
    assert "rate against p99 (| is the bound of 200.000 ms" in text
    assert text.count(" Server ") == sum(each.trial.scenario is Scenario.SERVER for each in tuned.tried)
    fields = json.loads(json.dumps(tuned.fields()))
    assert (fields["found"], fields["profile_file"]) == (True, str(tuned.profile_path))
    assert len(fields["trials"]) == len(tuned.tried)
    of_layout = [each for each in tuned.tried if each.trial.options.instances == 4 and each.trial.options.target_qps]
    assert len(fields["curve"]) == len(of_layout) < len(tuned.tried)
    assert [point["target_qps"] for point in fields["curve"]] == sorted(
        point["target_qps"] for point in fields["curve"]
    )


def test_options_that_make_no_sense_are_refused_before_anything_is_written(asked: TuneRequest) -> None:
    offline = replace(asked.run.options, scenario=Scenario.OFFLINE, target_latency_ms=None)
    with pytest.raises(UsageError, match="--from is for Server"):
        tune(replace(asked, run=replace(asked.run, options=offline), start_qps=5.0), FakeDisplay())
    with pytest.raises(UsageError, match=r"Unknown precision of resnet50:.* 'int8'"):
        tune(replace(asked, run=replace(asked.run, options=replace(offline, precision=Precision.INT8))), FakeDisplay())
    with pytest.raises(UsageError, match="no trials of this tuning"):
        shown(asked, FakeDisplay())
    assert not paths.tunings_place().exists()
