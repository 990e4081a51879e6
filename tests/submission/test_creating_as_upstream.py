"""Trees of generated runs before the official checkers; needs MLPERF_INFERENCE, a checkout of mlcommons/inference."""

import re
from pathlib import Path

import pytest

from mlperf_docker.submission.creating import CreatedTree
from tests.fixtures.submission_trees import Trees
from tests.rounds import upstream
from tests.submission import upstream_checkers
from tests.submission.planned import COUNTS, DURATION, Planner
from tests.submission.test_creating import created, finished

LAST_ROUNDS = {"resnet50": "v6.1", "bert": "v6.1", "3d-unet": "v6.1", "retinanet": "v5.1", "rnnt": "v4.0"}
"""Model → the last round that takes it; that of dlrm, v3.0, is none of ours."""
SHORT = re.compile(
    r"Test duration less than 600s|performance_sample_count, found|Required minimum samples per query"
    r"|does not cover all dataset"
)


def make(trees: Trees, folder: Path, model: str, left_short: tuple[str, ...] = (), **head: str) -> CreatedTree:
    upstream.checkout()
    plan = finished(Planner(trees.logs, folder, left_short=left_short), f"- model: {model}", **head)
    return created(plan, folder / "tree")


@pytest.mark.parametrize("model", ["resnet50", "bert", "3d-unet"])
def test_a_closed_edge_tree_of_v6_1_is_accepted_by_both_checkers(model: str, trees: Trees, tmp_path: Path) -> None:
    tree = make(trees, tmp_path, model)
    for verdict in (upstream_checkers.new(tree.target, "v6.1"), upstream_checkers.old(tree.target, "v6.1")):
        assert verdict.accepted, verdict.output


def test_an_inferred_tree_is_accepted_by_both_checkers(trees: Trees, tmp_path: Path) -> None:
    upstream.checkout()
    plan = finished(Planner(trees.logs, tmp_path), "- {model: resnet50, scenarios: [SingleStream]}")
    tree = created(plan, tmp_path / "tree", infer=True)
    for verdict in (upstream_checkers.new(tree.target, "v6.1"), upstream_checkers.old(tree.target, "v6.1")):
        assert verdict.accepted, verdict.output


@pytest.mark.parametrize("suite", ["edge", "datacenter"])
def test_a_closed_tree_of_v5_1_is_accepted_by_its_checkers(suite: str, trees: Trees, tmp_path: Path) -> None:
    tree = make(trees, tmp_path, "retinanet", round="v5.1", suite=suite)
    for verdict in (upstream_checkers.new(tree.target, "v5.1"), upstream_checkers.tagged(tree.target, "v5.1")):
        assert verdict.accepted, verdict.output


@pytest.mark.parametrize("suite", ["edge", "datacenter"])
def test_a_closed_tree_of_v4_0_is_accepted_by_its_checker(suite: str, trees: Trees, tmp_path: Path) -> None:
    tree = make(trees, tmp_path, "rnnt", round="v4.0", suite=suite)
    verdict = upstream_checkers.tagged(tree.target, "v4.0")
    assert verdict.accepted, verdict.output


@pytest.mark.parametrize("model", LAST_ROUNDS)
def test_an_open_tree_of_short_runs_has_no_fault_but_duration_and_counts(
    model: str, trees: Trees, tmp_path: Path
) -> None:
    version = LAST_ROUNDS[model]
    tree = make(trees, tmp_path, model, (DURATION, *COUNTS), round=version, division="open")
    verdict = upstream_checkers.of_round(tree.target, version)
    assert verdict.errors
    assert [each for each in verdict.errors if not SHORT.search(each)] == []
