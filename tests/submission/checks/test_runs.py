"""Logs of single runs: inference, bounds of Server, benchmarks of one's own, rules of the open division."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.rounds.words import Division, Suite
from mlperf_docker.submission.checks import checking
from mlperf_docker.submission.checks.faults import Fault
from tests.fixtures.submission_trees import TreeRecipe, Trees, edit_log
from tests.rounds import upstream
from tests.submission import upstream_checkers
from tests.submission.spoilt_trees import Base

_SS, _MS, _OFFLINE, _SERVER = Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.OFFLINE, Scenario.SERVER
Built = Callable[..., Base]


@pytest.fixture
def built(trees: Trees, rounds: Rounds, tmp_path: Path) -> Built:
    """Give a whole tree of the newest round, or of another recipe."""

    def build(**recipe: object) -> Base:
        made = TreeRecipe(**{"round": rounds.newest, **recipe})  # type: ignore[arg-type]
        return Base(trees.build(tmp_path / "tree", made), made)

    return build


def faults(base: Base, rounds: Rounds) -> set[Fault]:
    """The faults that our check finds. Where upstream's is at hand, it has to find the tree as good as ours does."""
    found = {finding.fault for finding in checking.check(base.root, rounds, base.recipe.round.name).errors}
    if os.environ.get(upstream.VARIABLE):
        verdict = upstream_checkers.new(base.root, base.recipe.round.name)
        assert verdict.accepted is (not found), verdict.output
    return found


def test_one_scenario_fills_a_benchmark_of_the_edge(built: Built, rounds: Rounds) -> None:
    assert faults(built(inferred={_MS: _SS, _OFFLINE: _SS}), rounds) == set()


def test_offline_may_be_inferred_from_multistream(built: Built, rounds: Rounds) -> None:
    assert faults(built(inferred={_OFFLINE: _MS}), rounds) == set()


def test_singlestream_is_inferred_from_nothing(built: Built, rounds: Rounds) -> None:
    assert faults(built(inferred={_SS: _MS}), rounds) == {Fault.INFERENCE}


def test_server_is_inferred_from_nothing(built: Built, rounds: Rounds) -> None:
    assert Fault.INFERENCE in faults(built(suite=Suite.BOTH, inferred={_SERVER: _OFFLINE}), rounds)


def test_nothing_is_inferred_on_datacenter_systems(built: Built, rounds: Rounds) -> None:
    base = built(suite=Suite.DATACENTER, benchmarks=("3d-unet-99",), inferred={_OFFLINE: _SS})
    assert faults(base, rounds) == {Fault.INFERENCE}


def test_too_few_queries_are_no_ground_for_multistream(built: Built, rounds: Rounds) -> None:
    base = built(inferred={_MS: _SS})
    base.edit(scenario=_MS, early_stopping_latency_ms=0)
    assert faults(base, rounds) == {Fault.INFERENCE}


def test_a_longer_bound_of_server_is_refused(built: Built, rounds: Rounds) -> None:
    base = built(suite=Suite.BOTH)
    base.edit(scenario=_SERVER, effective_target_latency_ns=16_000_000)
    assert faults(base, rounds) == {Fault.LOG_LATENCY}


@pytest.mark.parametrize("edited", [{"early_stopping_met": False}, {"early_stopping_met": 0}])
def test_a_bound_counts_as_met_only_where_the_log_says_true(
    built: Built, rounds: Rounds, edited: dict[str, object]
) -> None:
    base = built()
    edit_log(base.logs(scenario=_SS), edited)
    assert faults(base, rounds) == {Fault.LOG_BOUND_MISSED}


def test_the_first_of_two_entries_with_one_key_counts(built: Built, rounds: Rounds) -> None:
    base = built()
    path = base.logs() / "mlperf_log_detail.txt"
    first, *others = path.read_text().splitlines(keepends=True)
    seed = next(line for line in others if '"effective_qsl_rng_seed"' in line)
    wrong = seed.replace(str(base.recipe.round.seeds.qsl_rng_seed), "1")
    path.write_text("".join((first, *others, wrong)))
    assert faults(base, rounds) == set()
    path.write_text("".join((first, wrong, *others)))
    assert faults(base, rounds) == {Fault.LOG_SEEDS}


def test_the_open_division_asks_for_no_target_scenario_or_test(built: Built, rounds: Rounds) -> None:
    base = built(division=Division.OPEN, scenarios=(_OFFLINE,))
    score = base.at(base.entry().accuracy) / "accuracy.txt"
    score.write_text(score.read_text().replace("accuracy=7", "accuracy=1"))
    base.edit(effective_samples_per_query=100)
    assert faults(base, rounds) == set()


def test_an_open_benchmark_of_ones_own_is_held_to_the_one_that_it_is_mapped_to(built: Built, rounds: Rounds) -> None:
    base = built(division=Division.OPEN)
    results = base.at(base.entry().results).parent
    results.rename(results.with_name("mynet"))
    assert Fault.BENCHMARK_UNKNOWN in {finding.fault for finding in checking.check(base.root, rounds).errors}
    base.at(base.organisation.model_mapping).write_text(json.dumps({"mynet": "resnet"}))
    assert faults(base, rounds) == set()
    base.at(base.organisation.model_mapping).write_text(json.dumps({"mynet": ["resnet"]}))
    assert Fault.BENCHMARK_UNKNOWN in {finding.fault for finding in checking.check(base.root, rounds).errors}


def test_an_alias_of_a_benchmark_is_the_benchmark(built: Built, rounds: Rounds) -> None:
    base = built()
    results = base.at(base.entry().results).parent
    results.rename(results.with_name("resnet50"))
    assert faults(base, rounds) == set()


def test_equal_issue_is_asked_for_where_the_rules_have_it(built: Built, rounds: Rounds) -> None:
    base = built(benchmarks=("3d-unet-99",))
    base.edit(effective_sample_concatenate_permutation=False)
    found = {
        finding.fault for finding in checking.check(base.root, rounds).errors
    }  # upstream's present checker passes it
    assert found == {Fault.LOG_EQUAL_ISSUE}


@pytest.mark.parametrize(("apart", "found"), [(0.005, set()), (0.02, {Fault.TEST_FAILED})])
def test_two_scores_decide_where_answers_differ(built: Built, rounds: Rounds, apart: float, found: set[Fault]) -> None:
    base = built(benchmarks=("bert-99",))
    test = base.entry().test(ComplianceTest.TEST01)
    base.at(test / "verify_accuracy.txt").write_text("TEST FAIL\n")
    for name, score in (("baseline_accuracy.txt", 90.0), ("compliance_accuracy.txt", 90.0 * (1 - apart))):
        base.at(test / "accuracy" / name).write_text(f'{{"exact_match": 80.0, "f1": {score}}}\n')
    assert faults(base, rounds) == found


def test_a_test_that_the_round_does_not_ask_for_is_a_warning(built: Built, rounds: Rounds) -> None:
    base = built(benchmarks=("bert-99",))
    base.at(base.entry().test(ComplianceTest.TEST04)).mkdir()
    (base.at(base.entry().test(ComplianceTest.TEST04)) / "verify_performance.txt").write_text("TEST PASS")
    verdict = checking.check(base.root, rounds)
    assert [finding.fault for finding in verdict.findings] == [Fault.TEST_NOT_ASKED]
    assert verdict.passes


def test_logs_of_both_modes_in_one_run_serve_both(built: Built, rounds: Rounds) -> None:
    base = built()
    for mode in Mode:
        base.edit(mode, effective_test_mode="SubmissionRun")
    assert faults(base, rounds) == set()
