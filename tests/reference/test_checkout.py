"""Checkout of the reference implementations: what is one, and what is said of it."""

import shutil
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.reference import ReferenceSpec
from mlperf_docker.catalog.selector import find
from mlperf_docker.errors import UsageError
from mlperf_docker.reference.checkout import ReferenceCheckout, open_checkout, require_unchanged
from tests.fixtures.reference_checkout import MODEL_CODE, commit, git, made, repository


@pytest.fixture
def reference() -> ReferenceSpec:
    found = find(Catalog.load(), "resnet50", "onnxruntime").model.reference
    assert found
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "inference")


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
    assert found.content
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


def test_a_folder_of_a_checkout_is_told_from_the_checkout(folder: Path, reference: ReferenceSpec) -> None:
    with pytest.raises(UsageError) as caught:
        opened(folder / reference.folder, reference)
    assert caught.value.hint == f"It is a folder in one: name {folder}"


def test_a_file_in_place_of_a_checkout_is_refused(folder: Path, reference: ReferenceSpec) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        opened(folder / "loadgen" / "loadgen.h", reference)


def test_a_worktree_and_a_shallow_clone_have_their_commit(
    folder: Path, reference: ReferenceSpec, tmp_path: Path
) -> None:
    git(folder, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    git(folder, "clone", "--quiet", "--depth=1", folder.as_uri(), str(tmp_path / "shallow"))
    for each in ("tree", "shallow"):
        assert opened(tmp_path / each, reference)[0].commit == git(folder, "rev-parse", "HEAD")


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


def test_local_changes_are_known_by_their_content(folder: Path, reference: ReferenceSpec) -> None:
    script = folder / reference.folder / reference.script
    clean = opened(folder, reference)[0]
    assert clean.content is None, "the commit tells all"
    script.write_text("one")
    one = opened(folder, reference)[0]
    (folder / reference.folder / "notes.txt").touch()
    assert opened(folder, reference)[0] == one, "git does not know the file"
    script.write_text("two")
    two = opened(folder, reference)[0]
    assert one.content != two.content
    assert "other files than its" in str(two)
    git(folder, "rm", "-r", "--quiet", "--cached", ".")
    assert opened(folder, reference)[0] == two, "nothing is staged, and the commit has the file"
    git(folder, "reset", "--hard", "--quiet")
    assert opened(folder, reference)[0] == clean


def test_a_checkout_that_changed_since_it_was_opened_is_refused(folder: Path, reference: ReferenceSpec) -> None:
    found = opened(folder, reference)[0]
    require_unchanged(found, reference, "onnxruntime")
    (folder / "loadgen" / "loadgen.h").write_text("newer")
    now = commit(folder)
    with pytest.raises(UsageError, match=f"changed meanwhile: it has commit {now[:12]} now, and had commit"):
        require_unchanged(found, reference, "onnxruntime")


def test_model_code_that_changed_since_it_was_opened_is_refused(folder: Path, tmp_path: Path) -> None:
    reference = find(Catalog.load(), "dlrm", "pytorch").model.reference
    assert reference
    code = repository(MODEL_CODE, tmp_path / "code")
    found = open_checkout(folder, reference, "pytorch", lambda _: None, code)
    require_unchanged(found, reference, "pytorch")
    (code / "dlrm_s_pytorch.py").write_text("changed = 1")
    with pytest.raises(UsageError, match="was changed meanwhile"):
        require_unchanged(found, reference, "pytorch")
