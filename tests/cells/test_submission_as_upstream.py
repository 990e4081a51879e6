"""Whole closed trees by one command each, on synthetic sets of full count, before the official checkers.

Needs MLPERF_INFERENCE, a checkout of mlcommons/inference, and some minutes and gigabytes for each model.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.rounds import loading
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission import layout
from mlperf_docker.submission.checks import checking
from tests.cells.test_submission import campaign
from tests.cells.tool import PERFORMED, Tool
from tests.fixtures.submission_trees import edit_log
from tests.rounds import upstream
from tests.submission import upstream_checkers
from tests.submission.test_creating_as_upstream import LAST_ROUNDS, SHORT
from tests.tries import in_time

pytestmark = pytest.mark.engine
ROUND = "v6.1"
_PATIENCE_S = 1800


@pytest.mark.parametrize("model", ["resnet50", "bert", "3d-unet"])
def test_one_command_makes_a_closed_tree_that_both_checkers_accept(model: str, tool: Tool, tmp_path: Path) -> None:
    upstream.checkout()
    round_ = loading.load().find(ROUND)
    count = round_.benchmarks_of(model)[0].dataset_size
    options: dict[str, Any] = {"min_duration": 10, "synthetic_samples": count, "synthetic_labels": "whole"}
    path = campaign(tmp_path, f"model: {model}", Division.CLOSED, **options)
    create(tool, path, tmp_path / "tree")
    tree = with_official_durations(tmp_path / "tree", round_.min_duration_ms)
    for verdict in (upstream_checkers.new(tree, ROUND), upstream_checkers.old(tree, ROUND)):
        assert verdict.accepted, verdict.output
    ours = checking.check(tree, loading.load(), ROUND, allow_synthetic=True)
    assert [str(each) for each in ours.errors] == []


def create(tool: Tool, path: Path, tree: Path) -> None:
    """Create the tree with all of its runs; on a busy machine again, where a test may be held to a slow run."""
    words = ("submission", "create", str(path), "--to", str(tree), "--run", "--allow-synthetic", "--bootstrap-base")

    def run() -> subprocess.CompletedProcess[str]:
        for each in timed(path.with_name("results")):
            shutil.rmtree(each)
        return tool(*words, expect=PERFORMED, patience_s=_PATIENCE_S)

    done = in_time(run, lambda done: done.returncode == 0)
    assert done.returncode == 0, done.stderr


def timed(results: Path) -> Iterator[Path]:
    """The folders of runs whose verdict is one on time."""
    return (each for each in results.glob("*") if each.is_dir() and not each.name.endswith("-accuracy"))


def with_official_durations(tree: Path, milliseconds: int) -> Path:
    """A copy of *tree* whose logs say that LoadGen was told to measure for *milliseconds*."""
    copy = tree.with_name(f"{tree.name}-edited")
    shutil.copytree(tree, copy)
    for log in copy.rglob(layout.DETAIL):
        edit_log(log.parent, {"effective_min_duration_ms": milliseconds})
    return copy


@pytest.mark.parametrize(("model", "version"), LAST_ROUNDS.items())
def test_one_command_makes_an_open_tree_without_a_fault_but_duration_and_counts(
    model: str, version: str, tool: Tool, tmp_path: Path
) -> None:
    upstream.checkout()
    path = campaign(tmp_path, f"model: {model}", Division.OPEN, round=version, min_duration=2)
    create(tool, path, tmp_path / "tree")
    verdict = upstream_checkers.of_round(tmp_path / "tree", version)
    assert verdict.errors
    assert [each for each in verdict.errors if not SHORT.search(each)] == []
