"""Checkout of the reference implementations: what is one, and what is said of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.catalog.selector import find
from mlperf_docker.errors import UsageError
from mlperf_docker.reference.checkout import ReferenceCheckout, open_checkout

STAND_IN = Path(__file__).parents[1] / "fixtures" / "checkout"


def git(folder: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def reference() -> ReferenceSpec:
    found = find(Catalog.load(), "resnet50", "onnxruntime").model.reference
    assert found
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the stand-in as a repository of its own, with what tells a checkout."""
    made = Path(shutil.copytree(STAND_IN, tmp_path / "inference"))
    (made / "loadgen").mkdir()
    (made / "loadgen" / "loadgen.h").touch()
    git(made, "init", "--quiet")
    git(made, "add", "--all")
    git(made, "commit", "--quiet", "--message=all")
    return made


def opened(folder: Path | None, reference: ReferenceSpec) -> tuple[ReferenceCheckout, list[str]]:
    said: list[str] = []
    return open_checkout(folder, reference, "onnxruntime", said.append), said


def test_a_checkout_of_another_commit_is_taken_with_a_warning(folder: Path, reference: ReferenceSpec) -> None:
    found, said = opened(folder, reference)
    assert (found.commit, found.changed) == (git(folder, "rev-parse", "HEAD"), False)
    (line,) = said
    assert found.commit
    assert found.commit[:12] in line
    assert f"{reference.commit[:12]} was tried" in line


def test_a_checkout_of_the_commit_that_was_tried_is_taken_without_a_word(
    folder: Path, reference: ReferenceSpec
) -> None:
    tried = reference.model_copy(update={"commit": git(folder, "rev-parse", "HEAD")})
    assert opened(folder, tried)[1] == []


def test_local_changes_of_a_checkout_are_told(folder: Path, reference: ReferenceSpec) -> None:
    (folder / "loadgen" / "loadgen.h").write_text("changed")
    assert not opened(folder, reference)[0].changed, "no part of the benchmark"
    (folder / reference.folder / reference.script).write_text("pass")
    found, said = opened(folder, reference)
    assert found.changed
    assert any("local changes" in line for line in said)


def test_a_checkout_without_git_has_no_commit(folder: Path, reference: ReferenceSpec) -> None:
    shutil.rmtree(folder / ".git")
    found, said = opened(folder, reference)
    assert (found.commit, found.changed) == (None, None)
    (line,) = said
    assert "git tells no commit" in line


def test_a_checkout_inside_another_repository_has_none_of_its_commits(folder: Path, reference: ReferenceSpec) -> None:
    shutil.rmtree(folder / ".git")
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", "--all")
    git(folder.parent, "commit", "--quiet", "--message=around")
    assert opened(folder, reference)[0].commit is None


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, reference: ReferenceSpec) -> None:
    with pytest.raises(UsageError, match=r"is no checkout of mlcommons/inference: loadgen/loadgen\.h is not in it"):
        opened(tmp_path, reference)


def test_a_checkout_that_is_not_there_is_told_with_how_to_get_one(tmp_path: Path, reference: ReferenceSpec) -> None:
    with pytest.raises(UsageError) as caught:
        opened(tmp_path / "nowhere", reference)
    assert "git clone" in (caught.value.hint or "")


def test_no_checkout_at_all_names_option_and_variable(reference: ReferenceSpec) -> None:
    with pytest.raises(UsageError) as caught:
        opened(None, reference)
    assert "--reference DIR" in (caught.value.hint or "")
    assert "MLPERF_INFERENCE" in (caught.value.hint or "")


def test_a_benchmark_that_is_not_in_a_checkout_is_told_with_where_it_is(folder: Path, reference: ReferenceSpec) -> None:
    (folder / reference.folder / reference.script).unlink()
    with pytest.raises(UsageError, match="does not have the benchmark") as caught:
        opened(folder, reference.model_copy(update={"tag": "v4.1"}))
    assert "worktree add ../inference-v4.1 v4.1" in (caught.value.hint or "")
