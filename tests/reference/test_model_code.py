"""Model code of a reference: a second folder of the user's, and what is said of it."""

import shutil
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.reference import ModelCodeEntry
from mlperf_docker.catalog.selector import find
from mlperf_docker.errors import UsageError
from mlperf_docker.reference.model_code import ModelCode, open_model_code
from tests.fixtures.reference_checkout import MODEL_CODE, git, repository


@pytest.fixture
def entry() -> ModelCodeEntry:
    reference = find(Catalog.load(), "dlrm", "pytorch").model.reference
    assert reference
    assert reference.model_code
    return reference.model_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return repository(MODEL_CODE, tmp_path / "code")


def opened(given: Path | None, entry: ModelCodeEntry | None) -> tuple[ModelCode | None, list[str]]:
    said: list[str] = []
    return open_model_code(given, entry, said.append), said


def test_code_of_another_commit_and_with_changes_is_taken_with_warnings(folder: Path, entry: ModelCodeEntry) -> None:
    (folder / entry.files[0]).write_text("changed = 1")
    found, said = opened(folder, entry)
    assert found == ModelCode(folder, git(folder, "rev-parse", "HEAD"), changed=True)
    assert f"{entry.commit[:12]} was tried" in said[0]
    assert "local changes" in said[1]


def test_code_of_the_commit_that_was_tried_is_taken_without_a_word(folder: Path, entry: ModelCodeEntry) -> None:
    tried = entry.model_copy(update={"commit": git(folder, "rev-parse", "HEAD")})
    assert opened(folder, tried)[1] == []


def test_a_folder_without_git_has_no_commit(folder: Path, entry: ModelCodeEntry) -> None:
    shutil.rmtree(folder / ".git")
    found, said = opened(folder, entry)
    assert found == ModelCode(folder, None, None)
    assert "git tells no commit" in said[0]


def test_the_variable_names_the_folder_where_no_option_does(
    folder: Path, entry: ModelCodeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(entry.variable, str(folder))
    found, _ = opened(None, entry)
    assert found
    assert found.folder == folder


def test_code_that_nothing_names_is_told_with_how_to_get_it(
    entry: ModelCodeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(entry.variable, raising=False)
    with pytest.raises(UsageError, match="No folder with facebookresearch/dlrm is named") as caught:
        opened(None, entry)
    assert all(word in (caught.value.hint or "") for word in ("--model-code DIR", "DLRM_DIR", f"git clone {entry.url}"))


def test_a_folder_that_lacks_modules_is_refused_with_their_names(folder: Path, entry: ModelCodeEntry) -> None:
    (folder / "data_utils.py").unlink()
    with pytest.raises(UsageError, match=r"does not have facebookresearch/dlrm: data_utils\.py is not in it"):
        opened(folder, entry)


def test_a_reference_that_needs_none_refuses_a_folder(folder: Path) -> None:
    assert opened(None, None) == (None, [])
    with pytest.raises(UsageError, match="leave out --model-code"):
        opened(folder, None)
