"""The quick look at a data set and at a model file, before a container starts."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec, ModelFile
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Precision
from mlperf_docker.errors import DatasetError, MlperfDockerError, ModelFileError
from mlperf_docker.inputs.datasets import location
from mlperf_docker.inputs.models import official_files

NOBODY = 65534


def as_nobody(action: Callable[[], object]) -> str:
    """What *action* says when an ordinary user does it: root may read everything. Runs in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        try:
            action()
            said = "nothing"
        except MlperfDockerError as error:
            said = str(error)
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as words:
        return words.read()


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    (tmp_path / "val_map.txt").write_text("a.JPEG 1\n")
    return tmp_path


def test_a_folder_with_its_marker_is_taken(
    resnet50: ImageSpec, imagenet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(imagenet.parent)
    assert location.check_folder(resnet50.model.dataset, Path(imagenet.name)) == imagenet.resolve()


@pytest.mark.parametrize("case", ["missing", "a file", "empty", "unmarked"])
def test_each_wrong_folder_has_its_words(resnet50: ImageSpec, tmp_path: Path, case: str) -> None:
    folder = tmp_path / "data"
    if case == "a file":
        folder.touch()
    elif case != "missing":
        folder.mkdir()
    if case == "unmarked":
        (folder / "other.txt").touch()
    words = {
        "missing": "there is no such folder",
        "a file": "that is not a folder",
        "empty": "the folder is empty",
        "unmarked": "val_map.txt was not found",
    }
    with pytest.raises(DatasetError, match=words[case]) as caught:
        location.check_folder(resnet50.model.dataset, folder)
    assert caught.value.exit_code is ExitCode.DATASET
    assert str(folder) in str(caught.value)
    assert "--synthetic tiny" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_is_closed_to_us(resnet50: ImageSpec) -> None:
    with tempfile.TemporaryDirectory() as closed:  # not below pytest's own folder, which is closed as a whole
        inside = Path(closed) / "imagenet"
        inside.mkdir()
        (inside / "model.onnx").write_bytes(b"anything")
        dataset = resnet50.model.dataset
        assert "the folder is not readable" in as_nobody(lambda: location.check_folder(dataset, Path(closed)))
        assert "it cannot be read (Permission denied)" in as_nobody(lambda: location.check_folder(dataset, inside))
        file = inside / "model.onnx"
        assert "is not readable for you" in as_nobody(lambda: official_files.locate(resnet50, Precision.FP32, file))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mlperf-docker/models/resnet50"


def test_an_official_file_must_be_there(resnet50: ImageSpec, models: Path) -> None:
    with pytest.raises(ModelFileError, match=r"resnet50_v1\.onnx is not at") as caught:
        official_files.locate(resnet50, Precision.FP32, None)
    assert (caught.value.hint or "").endswith("mlperf-docker models fetch resnet50")


def test_a_damaged_official_file_is_refused_with_both_checksums(resnet50: ImageSpec, models: Path) -> None:
    models.mkdir(parents=True)
    (models / "resnet50_v1.onnx").write_bytes(b"half")
    official = resnet50.model.files[0]
    with pytest.raises(ModelFileError, match="4 bytes") as caught:
        official_files.locate(resnet50, Precision.FP32, None)
    assert str(official.md5) in str(caught.value)
    assert hashlib.md5(b"half", usedforsecurity=False).hexdigest() in str(caught.value)
    assert "--model-file" in (caught.value.hint or "")


def test_the_right_checksum_is_accepted(resnet50: ImageSpec, models: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"whole")
    fields = {"name": "m.onnx", "backend": "onnxruntime", "precision": "fp32", "format": "onnx"}
    urls = {"urls": ("https://example.org/m.onnx",)}
    for algorithm in ("md5", "sha256"):
        checksum = {algorithm: hashlib.new(algorithm, b"whole").hexdigest()}
        file = ModelFile.model_validate({**fields, **urls, **checksum})
        official = official_files.Official(resnet50.model, file, tmp_path / "m.onnx", first=True)
        official_files.check(official)
        assert official.state is official_files.FileState.VERIFIED


def test_a_backend_without_an_official_file_is_told_how_to_make_one(catalog: Catalog, models: Path) -> None:
    spec = next(each for each in catalog.specs if str(each) == "retinanet:tensorflow-cpu")
    with pytest.raises(ModelFileError, match="no official fp32 file of retinanet for tensorflow") as caught:
        official_files.locate(spec, Precision.FP32, None)
    assert "models convert retinanet" in (caught.value.hint or "")


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_of_the_users_own_must_hold_something(
    resnet50: ImageSpec, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "mine.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match="no model file" if content is None else "is empty"):
        official_files.locate(resnet50, Precision.FP32, path)


def test_a_model_in_no_folder_and_one_that_is_a_folder(resnet50: ImageSpec, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file at"):
        official_files.locate(resnet50, Precision.FP32, tmp_path / "no" / "such.onnx")
    with pytest.raises(ModelFileError, match="is not a file"):
        official_files.locate(resnet50, Precision.FP32, tmp_path)


def test_a_file_of_the_users_own_is_not_compared(resnet50: ImageSpec, tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"anything")
    assert official_files.locate(resnet50, Precision.FP32, tmp_path / "mine.onnx") == tmp_path / "mine.onnx"
