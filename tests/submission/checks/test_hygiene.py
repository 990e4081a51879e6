"""Names and places in a tree that the spoilt trees do not have."""

import shutil
from pathlib import Path

from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks import checking
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from tests.fixtures.submission_trees import TreeRecipe, Trees
from tests.submission.spoilt_trees import Base


def built(trees: Trees, rounds: Rounds, root: Path, name: str = "v6.1") -> Base:
    recipe = TreeRecipe(rounds.find(name), benchmarks=("bert-99",))
    return Base(trees.build(root, recipe), recipe)


def found(base: Base, rounds: Rounds) -> list[TreeFinding]:
    return list(checking.check(base.root, rounds, base.recipe.round.name).findings)


def test_a_repositorys_own_folders_and_pages_beside_the_divisions_are_no_fault(
    trees: Trees, rounds: Rounds, tmp_path: Path
) -> None:
    base = built(trees, rounds, tmp_path)
    for name in (".git/objects/ab", ".github/workflows", "assets"):
        (base.root / name).mkdir(parents=True)
        (base.root / name / "file").write_text("x")
    for name in ("README.md", "notes.pdf"):
        (base.root / name).write_text("x")
    assert found(base, rounds) == []


def test_folders_of_another_rounds_layout_are_told(trees: Trees, rounds: Rounds, tmp_path: Path) -> None:
    base = built(trees, rounds, tmp_path)
    for name in ("measurements", "compliance", "code"):
        shutil.copytree(base.at(base.organisation.source), base.at(base.organisation.root) / name)
    told = {finding.path for finding in found(base, rounds) if finding.fault is Fault.STRAY}
    assert told == {f"closed/Acme/{name}" for name in ("measurements", "compliance", "code")}


def test_a_tree_of_the_old_layout_is_told_all_that_the_new_one_lacks(
    trees: Trees, rounds: Rounds, tmp_path: Path
) -> None:
    base = built(trees, rounds, tmp_path, "v5.1")
    findings = checking.check(base.root, rounds, "v6.1").errors
    assert {Fault.STRAY, Fault.SOURCE_MISSING, Fault.FILE_MISSING, Fault.TEST_MISSING, Fault.LOG_SEEDS} == {
        finding.fault for finding in findings
    }


def test_measurements_of_a_system_without_results_are_told(trees: Trees, rounds: Rounds, tmp_path: Path) -> None:
    base = built(trees, rounds, tmp_path, "v5.1")
    measurements = base.at(base.organisation.root) / "measurements"
    shutil.copytree(measurements / "box", measurements / "other")
    assert found(base, rounds) == [
        TreeFinding(Fault.STRAY, "closed/Acme/measurements/other", "a system without results")
    ]


def test_the_network_division_is_left_to_upstream(trees: Trees, rounds: Rounds, tmp_path: Path) -> None:
    base = built(trees, rounds, tmp_path)
    shutil.copytree(base.root / "closed", base.root / "network")
    assert [(each.fault, each.path) for each in found(base, rounds)] == [(Fault.DIVISION_UNKNOWN, "network")]


def test_a_second_run_is_stray(trees: Trees, rounds: Rounds, tmp_path: Path) -> None:
    base = built(trees, rounds, tmp_path)
    shutil.copytree(base.logs(), base.logs().with_name("run_2"))
    assert [(each.fault, each.key) for each in found(base, rounds)] == [(Fault.STRAY, "")]


def test_files_of_power_runs_are_no_fault(trees: Trees, rounds: Rounds, tmp_path: Path) -> None:
    base = built(trees, rounds, tmp_path)
    (base.logs() / "spl.txt").write_text("x")
    for name in ("power", "ranging"):
        shutil.copytree(base.logs(), base.logs().with_name(name))
    (base.at(base.entry().results).parent / "analyzer_table.md").write_text("x")
    assert found(base, rounds) == []
