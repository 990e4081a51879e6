"""Trees that somebody made badly, or to do harm: nothing is followed out of them, and nothing is read without end."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.rounds.loading import Rounds
from mlperf_docker.submission.checks import checking, tree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.tree import SubmissionTree, TreeNodeKind
from tests.fixtures.odd_files import ODD_FILES
from tests.fixtures.submission_trees import TreeRecipe, Trees
from tests.submission.spoilt_trees import Base

_FILES: dict[str, Callable[[Base], Path]] = {
    "detail log": lambda base: base.logs() / "mlperf_log_detail.txt",
    "summary": lambda base: base.logs() / "mlperf_log_summary.txt",
    "score": lambda base: base.at(base.entry().accuracy) / "accuracy.txt",
    "answers": lambda base: base.at(base.entry().accuracy) / "mlperf_log_accuracy.json",
    "system": lambda base: base.at(base.organisation.system("box")),
    "facts": lambda base: base.at(base.entry().measurements_file),
    "verdict of a test": lambda base: base.at(base.entry().compliance) / "TEST01/verify_accuracy.txt",
}
_CONTENTS = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe\x00\x01",
    "NaN": b'{"status": NaN, "division": NaN}',
    "deep": b"[" * 100_000,
    "a list": b"[1, 2]",
    "a long number": b'{"status": ' + b"9" * 10_000 + b"}",
    "other types": b'{"status": [], "division": {}, "submitter": 1, "system_type": [], "retraining": 0}',
    "control characters": b'{"status": "\\u001b[31m\\n", "division": "closed"}',
    "a log of other types": b':::MLLOG {"key": "result_validity", "value": [1e999]}\n:::MLLOG {"key": 1}\n:::MLLOG 7\n',
    "zeros": b"\0" * 10_000,
}


@pytest.fixture
def base(trees: Trees, rounds: Rounds, tmp_path: Path) -> Base:
    recipe = TreeRecipe(rounds.newest, benchmarks=("bert-99",))
    return Base(trees.build(tmp_path / "tree", recipe), recipe)


@pytest.mark.parametrize("content", _CONTENTS)
@pytest.mark.parametrize("file", _FILES)
def test_contents_that_are_no_such_document_are_findings(base: Base, rounds: Rounds, file: str, content: str) -> None:
    path = _FILES[file](base)
    path.write_bytes(_CONTENTS[content])
    verdict = checking.check(base.root, rounds, base.recipe.round.name)
    told = {finding.path for finding in verdict.errors}
    folder = str(path.parent.relative_to(base.root))
    assert any(each.startswith(folder) for each in told), verdict.findings


@pytest.mark.parametrize("kind", ODD_FILES.keys() - {"large"})
@pytest.mark.parametrize("file", _FILES)
def test_a_fifo_folder_or_link_for_a_file_is_a_finding(base: Base, rounds: Rounds, file: str, kind: str) -> None:
    path = _FILES[file](base)
    path.unlink()
    ODD_FILES[kind](path)
    assert not checking.check(base.root, rounds, base.recipe.round.name).passes


def test_links_are_told_by_where_they_lead(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_text("x")
    links = {
        "inside": ("folder/../file", TreeNodeKind.LINK),
        "folder-inside": ("folder", TreeNodeKind.OUTSIDE_LINK),
        "parent": ("..", TreeNodeKind.OUTSIDE_LINK),
        "outside": ("/etc/passwd", TreeNodeKind.OUTSIDE_LINK),
        "circle": ("circle", TreeNodeKind.BROKEN_LINK),
        "nowhere": ("/nowhere", TreeNodeKind.BROKEN_LINK),
    }
    for name, (target, _) in links.items():
        (root / name).symlink_to(target)
    nodes = SubmissionTree.scan(root).nodes
    assert {name: nodes[name].kind for name in links} == {name: kind for name, (_, kind) in links.items()}


def test_a_tree_of_too_many_files_is_looked_at_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_NODES", 10)
    for number in range(20):
        (tmp_path / f"{number}.md").touch()
    scanned = SubmissionTree.scan(tmp_path)
    assert (scanned.complete, len(scanned.nodes)) == (False, 10)


def test_a_tree_without_end_is_looked_at_as_deep_as_any_submission(rounds: Rounds, tmp_path: Path) -> None:
    tmp_path.joinpath(*["closed"] * 300).mkdir(parents=True)
    found = checking.check(tmp_path, rounds).findings
    assert Fault.TREE_TOO_LARGE in {finding.fault for finding in found}


def test_names_that_are_no_text_are_told_in_printable_ones(base: Base, rounds: Rounds) -> None:
    folder = os.fsencode(base.at(base.organisation.source))
    for name in (b"bad\xff.md", b"red\x1b[31m.md"):
        Path(os.fsdecode(folder + b"/" + name)).write_text("x")
    verdict = checking.check(base.root, rounds)
    told = [finding.path.rpartition("/")[2] for finding in verdict.errors if finding.fault is Fault.NAME_ODD]
    assert told == [r"bad\xff.md", r"red\x1b[31m.md"]


def test_a_folder_that_is_closed_is_a_finding_where_it_cannot_be_read(
    base: Base, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, scan = str(base.at(base.entry().accuracy)), os.scandir

    def refuse(path: Path) -> object:
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    found = checking.check(base.root, rounds).errors
    assert Fault.UNREADABLE in {finding.fault for finding in found}
