"""Search for the best options, on simulated machines."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning.search import TuningPlan, Verdict, search, so_far
from mlperf_docker.tuning.trials import EndedTrial, Purpose, Trial
from tests.tuning.simulated import Draw, Simulated

FULL_S = 600.0
NO_MEMORY = "the weights of 3 more instances need 9 GB of memory"


@dataclass
class Machine:
    """Machine whose processors share a sample's work the worse the more there are, and batches help up to a size."""

    processors: int = 4
    sharing: float = 0.7
    """Exponent of the speed-up by threads."""
    best_batch: int = 8
    noise: float = 0.03
    seed: int = 0
    bound_s: float = 0.2
    most_instances: int = 99
    trials: list[Trial] = field(default_factory=list)

    def sample_s(self, options: TunedOptions) -> float:
        threads = options.threads_per_instance or self.processors // (options.instances or 1)
        batch = options.batch_size or self.best_batch // 2
        penalty = 1 + 0.2 * abs(batch.bit_length() - self.best_batch.bit_length())
        return 0.02 * penalty / math.pow(threads, self.sharing)

    def done(self, trial: Trial) -> EndedTrial:
        self.trials.append(trial)
        draw = Draw(f"{self.seed} {len(self.trials)} {trial}")
        options = trial.options
        instances = options.instances or 1
        if instances > self.most_instances:
            return EndedTrial(trial=trial, problem=NO_MEMORY)
        sample_s = self.sample_s(options) * draw.lognormvariate(0, self.noise)
        used: dict[str, Any] = {
            "batch_size": options.batch_size or self.best_batch // 2,
            "instances": instances,
            "threads": options.threads_per_instance or self.processors // instances,
        }
        if trial.scenario is not Scenario.SERVER:
            figure = instances / sample_s if trial.scenario is Scenario.OFFLINE else sample_s * 1e9
            return EndedTrial(trial=trial, figure=figure, valid=True, folder=str(len(self.trials)), **used)
        qps = options.target_qps or 5.0
        sut = Simulated(instances, 1, 0.0, self.sample_s(options), 0.05, self.bound_s)
        found = sut.rated(qps, trial.min_duration_s or FULL_S, draw, full=trial.full)
        ran: dict[str, Any] = {
            "valid": found.valid,
            "p99_ns": found.p99_ns,
            "bound_ns": found.bound_ns,
            "drowned": found.aborted,
        }
        return EndedTrial(trial=trial, figure=qps, folder=str(len(self.trials)), **ran, **used)


def searched(plan: TuningPlan, machine: Machine) -> tuple[Verdict, list[EndedTrial]]:
    asking, tried = search(plan), []
    trial = next(asking)
    while True:
        tried.append(machine.done(trial))
        try:
            trial = asking.send(tried[-1])
        except StopIteration as end:
            return end.value, tried


@pytest.mark.parametrize("seed", range(10))
def test_offline_finds_more_instances_of_fewer_threads_and_the_batch_where_they_are_faster(seed: int) -> None:
    machine = Machine(seed=seed)
    verdict, _ = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0), machine)
    assert (verdict.options.instances, verdict.options.threads_per_instance) == (4, 1)
    assert verdict.options.batch_size in (8, 16)
    best = 4 / machine.sample_s(TunedOptions(instances=4, threads_per_instance=1, batch_size=8))
    assert verdict.figure == pytest.approx(best, rel=0.1)
    assert verdict.gain is not None
    assert verdict.gain > 1.3
    assert max(each.min_duration_s or FULL_S for each in machine.trials) == 30.0


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_never_replaces_the_default_by_something_slower(seed: int) -> None:
    """All layouts are equally fast, and each trial is off by a tenth."""
    machine = Machine(seed=seed, sharing=1.0, noise=0.1, best_batch=2)
    verdict, _ = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0, fixed=TunedOptions(batch_size=2)), machine)
    assert verdict.gain is not None
    assert verdict.gain >= 1.0
    slower = machine.sample_s(verdict.options) / (verdict.options.instances or 1)
    assert slower <= 1.001 * machine.sample_s(TunedOptions(batch_size=2))


def test_the_default_stays_where_it_is_the_best() -> None:
    fixed = TunedOptions(batch_size=2)
    machine = Machine(sharing=1.2, best_batch=2, noise=0.001)
    verdict, tried = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0, fixed=fixed), machine)
    assert (verdict.options, verdict.gain) == (fixed, 1.0)
    assert "default" in verdict.why
    assert Purpose.PAIR not in {each.trial.purpose for each in tried}


def test_pairs_are_interleaved_so_that_a_drift_meets_both_alike() -> None:
    _, tried = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0), Machine())
    ours = [each.trial.options != TunedOptions() for each in tried if each.trial.purpose is Purpose.PAIR]
    assert ours == [False, True, True, False, False, True]


def paired(*ratios: float) -> tuple[Verdict, int]:
    """The verdict where the pairs are as *ratios* tell, and how many there were."""
    asking, pairs = search(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0)), 0
    trial = next(asking)
    while True:
        better = trial.options != TunedOptions()
        figure = 1.2 if better else 1.0
        if trial.purpose is Purpose.PAIR:
            figure = ratios[pairs // 2] if better else 1.0
            pairs += 1
        try:
            trial = asking.send(EndedTrial(trial=trial, figure=figure, valid=True, instances=1, threads=2))
        except StopIteration as end:
            return end.value, pairs // 2


@pytest.mark.parametrize(
    ("ratios", "replaces"),
    [
        ((1.2, 1.1, 1.3), True),
        ((1.2, 0.9, 1.3, 1.1, 1.1, 1.1), True),
        ((1.7, 0.9, 0.95), False),
        ((1.2, 0.9, 1.3, 1.1, 0.9), False),
        ((1.001, 1.001, 1.001), False),
        ((1.1, 0.0, 1.1, 1.1, 1.1, 1.1), False),
    ],
)
def test_one_pair_of_six_may_be_off_and_no_two(ratios: tuple[float, ...], replaces: bool) -> None:
    verdict, pairs = paired(*ratios)
    assert pairs == len(ratios)
    assert (verdict.options != TunedOptions(), (verdict.gain or 0) > 1) == (replaces, replaces)


def test_single_stream_finds_fewer_threads_where_latency_is_lower() -> None:
    verdict, _ = searched(TuningPlan(Scenario.SINGLE_STREAM, FULL_S, 10.0), Machine(sharing=-0.3, noise=0.01))
    assert verdict.options == TunedOptions(threads_per_instance=1)
    assert verdict.gain == pytest.approx(4**0.3, rel=0.05)


def test_a_layout_that_does_not_fit_is_left_out() -> None:
    verdict, tried = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0), Machine(most_instances=2))
    assert verdict.options.instances == 2
    assert NO_MEMORY in {each.problem for each in tried}


def test_options_of_the_user_are_not_searched() -> None:
    fixed = TunedOptions(instances=2, batch_size=8)
    verdict, tried = searched(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0, fixed=fixed), Machine())
    assert verdict.options == fixed
    assert len(tried) == 1


def test_server_finds_layout_and_rate_and_says_what_they_gain() -> None:
    machine = Machine()
    verdict, tried = searched(TuningPlan(Scenario.SERVER, FULL_S, 10.0), machine)
    assert verdict.options.instances == 4
    capacity = 4 / machine.sample_s(verdict.options)
    assert verdict.options.target_qps is not None
    assert 0.9 * capacity < verdict.options.target_qps < capacity
    assert verdict.gain == pytest.approx(verdict.options.target_qps / 5.0)
    confirmed = [each for each in tried if each.trial.full and each.trial.options == verdict.options]
    assert [each.valid for each in confirmed] == [True]


def test_server_keeps_the_default_layout_where_the_bound_leaves_no_time_for_fewer_threads() -> None:
    """A sample of one thread takes 24 ms, of four 9 ms."""
    verdict, _ = searched(TuningPlan(Scenario.SERVER, FULL_S, 10.0), Machine(bound_s=0.02))
    assert verdict.options.instances is None
    assert verdict.options.target_qps is not None


def test_a_search_goes_on_from_stored_trials_in_their_order() -> None:
    plan = TuningPlan(Scenario.SERVER, FULL_S, 10.0)
    verdict, tried = searched(plan, Machine())
    stored = [EndedTrial.model_validate_json(each.model_dump_json()) for each in tried]
    asking = search(plan)
    trial = next(asking)
    for number, each in enumerate(stored):
        assert trial == each.trial
        if number < len(stored) - 1:
            trial = asking.send(each)
    with pytest.raises(StopIteration) as end:
        asking.send(stored[-1])
    assert end.value.value == verdict


def test_an_unfinished_search_of_a_rate_has_what_was_confirmed_so_far() -> None:
    plan = TuningPlan(Scenario.SERVER, FULL_S, 10.0)
    verdict, tried = searched(plan, Machine())
    found = so_far(plan, tried)
    assert found is not None
    assert (found.options, found.gain) == (verdict.options, verdict.gain)
    assert so_far(plan, tried[:2]) is None
    assert so_far(TuningPlan(Scenario.OFFLINE, FULL_S, 10.0), tried) is None
