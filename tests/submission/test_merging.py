"""Merging of trees, and what keeps them apart."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import UsageError
from mlperf_docker.submission import merging, writing
from mlperf_docker.submission.problems import SubmissionError

COMMAND = Path(sys.executable).with_name("mlperf-docker")


def tree(root: Path, name: str, **files: str) -> Path:
    """A tree of acme with a system of its own, and *files* besides; `__` stands for a slash."""
    made = root / name
    own = {f"closed/acme/systems/{name}.json": name, f"closed/acme/results/{name}/resnet/Offline/user.conf": name}
    shared = {"closed/acme/src/resnet/README.md": "the same"}
    for path, text in {**own, **shared, **{key.replace("__", "/"): text for key, text in files.items()}}.items():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
    return made


def test_merged_trees_have_the_files_of_all(tmp_path: Path) -> None:
    trees = [tree(tmp_path, name) for name in ("one", "two", "three")]
    writing.write(merging.merge(trees).files, tmp_path / "all")
    names = {each.name for each in (tmp_path / "all/closed/acme/systems").iterdir()}
    assert names == {"one.json", "two.json", "three.json"}
    assert (tmp_path / "all/closed/acme/src/resnet/README.md").read_text() == "the same"
    assert {each.name for each in tmp_path.iterdir()} == {"one", "two", "three", "all"}


def test_clashes_of_trees_are_told_all_at_once(tmp_path: Path) -> None:
    first = tree(tmp_path, "one", closed__acme__model_mapping="1", closed__acme__documentation__calibration="x")
    second = tree(tmp_path, "two", closed__acme__model_mapping="2", closed__acme__documentation__calibration="y")
    with pytest.raises(SubmissionError) as caught:
        merging.merge([first, second])
    assert [each.where for each in caught.value.problems] == [
        "closed/acme/documentation/calibration",
        "closed/acme/model_mapping",
    ]
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_trees_of_two_organisations_are_kept_apart(tmp_path: Path) -> None:
    other = tree(tmp_path, "two")
    (other / "closed/acme").rename(other / "closed/umbrella")
    with pytest.raises(SubmissionError, match="it is of umbrella"):
        merging.merge([tree(tmp_path, "one"), other])


def test_trees_of_two_layouts_are_kept_apart(tmp_path: Path) -> None:
    older = tree(tmp_path, "two")
    (older / "closed/acme/src").rename(older / "closed/acme/code")
    with pytest.raises(SubmissionError, match="another round"):
        merging.merge([tree(tmp_path, "one"), older])


def test_a_link_in_a_tree_is_refused(tmp_path: Path) -> None:
    first, second = tree(tmp_path, "one"), tree(tmp_path, "two")
    (second / "closed/acme/systems/link.json").symlink_to("/etc/passwd")
    with pytest.raises(SubmissionError, match="no plain file"):
        merging.merge([first, second])


def test_a_folder_without_a_division_is_no_tree_to_merge(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no submission's tree"):
        merging.merge([tree(tmp_path, "one"), tmp_path / "empty"])


def test_the_command_that_merges_trees_writes_all_or_nothing(tmp_path: Path) -> None:
    first, second = tree(tmp_path, "one", closed__acme__x="1"), tree(tmp_path, "two", closed__acme__x="2")
    line = [str(each) for each in (COMMAND, "submission", "merge", first, second, "--to", tmp_path / "all")]
    refused = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, refused.stderr.count("closed/acme/x")) == (ExitCode.INVALID, 1)
    assert not (tmp_path / "all").exists()
    (second / "closed/acme/x").write_text("1")
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(tmp_path / "all")
    again = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, "--force" in again.stderr) == (ExitCode.USAGE, True)
