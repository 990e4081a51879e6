"""`submission check`: what it prints and its exit codes."""

import json
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks.faults import Fault
from tests.cli.test_cli import tool
from tests.fixtures.submission_trees import TreeRecipe, Trees
from tests.submission.spoilt_trees import Base


@pytest.fixture
def base(trees: Trees, rounds: Rounds, tmp_path: Path) -> Base:
    recipe = TreeRecipe(rounds.newest, benchmarks=("bert-99",))
    return Base(trees.build(tmp_path / "tree", recipe), recipe)


def test_a_good_tree_passes_with_one_line(base: Base) -> None:
    name = base.recipe.round.name
    assert tool("submission", "check", str(base.root)).stdout == (
        f"2 results of round {name} (by the seeds of its logs): meets this tool's checks; 0 errors, 0 warnings.\n"
    )


def test_several_problems_are_told_at_once_those_with_one_fix_together(base: Base) -> None:
    base.describe(cooling="", status="soon", framework=None)
    base.edit(result_validity="INVALID", effective_min_duration_ms=5000)
    (base.root / "stray").write_text("x")
    text = tool("submission", "check", str(base.root), expect=ExitCode.INVALID).stdout
    for fault in (Fault.SYSTEM_KEY_EMPTY, Fault.SYSTEM_VALUE, Fault.SYSTEM_KEY_MISSING, Fault.LOG_INVALID, Fault.STRAY):
        assert text.count(f"error {fault}: {fault.about}\n  fix: {fault.fix}\n") == 1
    assert f"{base.entry().performance}/mlperf_log_detail.txt: effective_min_duration_ms is 5000, less than" in text
    assert text.splitlines()[-1].endswith("would be refused; 7 errors, 0 warnings.")


def test_json_has_each_finding_with_place_and_fix(base: Base) -> None:
    base.describe(cooling="")
    found = json.loads(tool("submission", "check", str(base.root), "--json", expect=ExitCode.INVALID).stdout)
    assert {key: found[key] for key in ("round", "passes", "synthetic", "results", "errors")} == {
        "round": base.recipe.round.name,
        "passes": False,
        "synthetic": False,
        "results": 2,
        "errors": 1,
    }
    (finding,) = found["findings"]
    assert finding == {
        "code": "system-key-empty",
        "severity": "error",
        "path": "closed/Acme/systems/box.json",
        "key": "cooling",
        "what": '""',
        "fix": Fault.SYSTEM_KEY_EMPTY.fix,
    }


def test_a_synthetic_tree_passes_only_where_that_is_allowed_and_says_so(base: Base) -> None:
    (base.root / "SYNTHETIC.md").write_text("x")
    said = "made on synthetic data: it is for trying the tools, and no submission."
    refused = tool("submission", "check", str(base.root), expect=ExitCode.INVALID).stdout
    assert "error synthetic:" in refused
    assert refused.strip().endswith(said)
    assert tool("submission", "check", str(base.root), "--allow-synthetic").stdout.strip().endswith(said)


def test_a_round_that_is_given_decides(base: Base) -> None:
    text = tool("submission", "check", str(base.root), "--round", "v6.0", expect=ExitCode.INVALID).stdout
    assert "error log-seeds:" in text
    assert "v6.1" in tool("submission", "check", str(base.root), "--round", "v9.9", expect=ExitCode.USAGE).stderr


def test_a_tree_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, words in (("nothing", "does not exist"), ("file", "is not a folder")):
        assert words in tool("submission", "check", str(tmp_path / name), expect=ExitCode.USAGE).stderr
    (tmp_path / "empty").mkdir()
    assert "error no-results:" in tool("submission", "check", str(tmp_path / "empty"), expect=ExitCode.INVALID).stdout


def test_upstreams_checkers_are_asked_from_a_checkout(base: Base, tmp_path: Path) -> None:
    script = tmp_path / "checkout/tools/submission/submission_checker_old.py"
    script.parent.mkdir(parents=True)
    script.write_text(
        f'TABLE = {{\n    "{base.recipe.round.name}": {{\n    }},\n}}\n'
        "import sys\nprint('ERROR:main:closed/Acme has the following empty directories: [1]')\nsys.exit(1)\n"
    )
    asked = ("submission", "check", str(base.root), "--official", str(tmp_path / "checkout"), "--no-container")
    text = tool(*asked, expect=ExitCode.INVALID).stdout.splitlines()
    assert text[0] == "submission_checker_old of mlcommons/inference of an unknown commit refuses the tree."
    assert text[1] == f"error folder-empty: {Fault.FOLDER_EMPTY.about}"
    assert text[-1].endswith("0 warnings; upstream's checkers: submission_checker_old refuses the tree.")
    found = json.loads(tool(*asked, "--json", expect=ExitCode.INVALID).stdout)
    (checker,) = found["official"]["checkers"]
    assert (found["passes"], checker["accepts"], checker["findings"][0]["code"]) == (True, False, "folder-empty")


def test_a_checkout_that_is_none_is_a_usage_error(base: Base, tmp_path: Path) -> None:
    done = tool("submission", "check", str(base.root), "--official", str(tmp_path), expect=ExitCode.USAGE)
    assert "is no checkout of mlcommons/inference" in done.stderr
    assert "git clone" in done.stderr
