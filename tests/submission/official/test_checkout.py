"""Checkout of upstream's: its checkers, the rounds that they know, and its commit."""

from pathlib import Path

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.official import checkout
from mlperf_docker.submission.official.checkout import CHECKERS

COMMIT = "b66003e1" * 5


def make(folder: Path, script: str = "submission_checker_old.py", rounds: str = "v6.1") -> Path:
    path = folder / "tools/submission" / script
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'MODEL_CONFIG = {{\n    "{rounds}": {{\n    }},\n}}\n')
    return folder


def test_a_folder_without_a_checker_is_refused(tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "nothing", "does not exist"), (tmp_path, "no checkout of mlcommons/inference")):
        with pytest.raises(UsageError, match=words) as caught:
            checkout.find(folder)
        assert "git clone" in (caught.value.hint or "")


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.script.name)
def test_each_checker_is_found_in_its_place(tmp_path: Path, checker: checkout.OfficialChecker) -> None:
    path = tmp_path / checker.script
    path.parent.mkdir(parents=True)
    path.touch()
    assert checkout.find(tmp_path).checkers == (checker,)


def test_a_checker_knows_the_rounds_of_its_table_and_reads_their_layout(tmp_path: Path, rounds: Rounds) -> None:
    found = checkout.find(make(tmp_path))
    (checker,) = found.checkers
    new, old = rounds.find("v6.1"), rounds.find("v5.1")
    assert (found.knows(checker, new), found.knows(checker, old)) == (True, False)
    assert (checker.reads(new), checker.reads(old)) == (True, False)


def test_the_commit_is_read_where_git_keeps_it(tmp_path: Path) -> None:
    make(tmp_path)
    assert checkout.find(tmp_path).commit is None
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert checkout.find(tmp_path).commit == COMMIT
    (git / "HEAD").write_text("ref: refs/heads/master\n")
    assert checkout.find(tmp_path).commit is None
    (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/master\n")
    assert checkout.find(tmp_path).commit == COMMIT
    (git / "refs/heads/master").write_text(f"{COMMIT[::-1]}\n")
    assert checkout.find(tmp_path).commit == COMMIT[::-1]
    assert COMMIT[::-1][:12] in checkout.find(tmp_path).title


def test_the_commit_of_a_worktree_is_found_by_way_of_its_repository(tmp_path: Path) -> None:
    make(tmp_path / "tree")
    place = tmp_path / "git/worktrees/tree"
    place.mkdir(parents=True)
    (tmp_path / "tree/.git").write_text(f"gitdir: {place}\n")
    (place / "HEAD").write_text("ref: refs/heads/x\n")
    (place / "commondir").write_text("../..\n")
    (tmp_path / "git/refs/heads").mkdir(parents=True)
    (tmp_path / "git/refs/heads/x").write_text(f"{COMMIT}\n")
    assert checkout.find(tmp_path / "tree").commit == COMMIT
