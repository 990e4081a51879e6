"""`models verify`: the verdict on official files in the cache, and on files of the user's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import ModelFileError, UsageError
from mlperf_docker.inputs.models.official_files import FileState, officials
from mlperf_docker.inputs.models.verify import FileVerdict, VerifyRequest, read_request, verify_all
from tests.fakes.engine import FakeDisplay


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(catalog: Catalog) -> ModelSpec:
    return next(model for model in catalog.models if model.name == "resnet50")


def verdicts(model: ModelSpec, *files: Path) -> list[FileVerdict]:
    return verify_all(VerifyRequest((model,), None, files, named=True), FakeDisplay())


def test_a_wrong_official_file_is_named_with_both_checksums_and_the_command(model: ModelSpec) -> None:
    official = next(each for each in officials(model, None) if each.checksum is not None)
    official.path.parent.mkdir(parents=True)
    official.path.write_bytes(b"damaged")
    found = verdicts(model)
    assert [each.state for each in found] == [FileState.WRONG]
    with pytest.raises(ModelFileError) as caught:
        VerifyRequest((model,), None, (), named=True).raise_failure(found)
    assert caught.value.exit_code == ExitCode.MODEL_FILE
    assert str(official.checksum) in str(caught.value)
    assert found[0].found["md5"] in str(caught.value)
    assert "mlperf-docker models fetch resnet50" in (caught.value.hint or "")


def test_a_file_is_verified_if_it_is_the_one_expected_or_any_official_one(model: ModelSpec, tmp_path: Path) -> None:
    one, other = (each for each in officials(model, None) if each.checksum is not None and not each.first)
    verdict = FileVerdict(tmp_path, 1, {"md5": ""}, (one,), one)
    assert verdict.state is FileState.VERIFIED
    assert replace(verdict, expected=other).state is FileState.WRONG
    assert replace(verdict, expected=None).state is FileState.VERIFIED
    assert replace(verdict, expected=None, officials=()).state is FileState.WRONG


def test_a_file_of_the_users_own_that_is_no_official_one_is_wrong(model: ModelSpec, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(b"trained at home")
    (verdict,) = verdicts(model, own)
    assert (verdict.state, verdict.expected, verdict.fields()["official"]) == (FileState.WRONG, None, [])
    assert "no official file known here has that" in verdict.problem()


def test_a_file_with_an_official_name_is_expected_to_be_that_one(model: ModelSpec, tmp_path: Path) -> None:
    own = tmp_path / officials(model, None)[0].file.name
    own.write_bytes(b"something else")
    (verdict,) = verdicts(model, own)
    assert verdict.expected is not None
    assert verdict.line()[3].startswith("not ")


def test_a_model_without_any_file_here_is_an_error_only_where_it_was_named(model: ModelSpec) -> None:
    with pytest.raises(ModelFileError, match="No official file of resnet50 is in"):
        VerifyRequest((model,), None, (), named=True).raise_failure([])
    display = FakeDisplay()
    request = VerifyRequest((model,), None, (), named=False)
    request.raise_failure(verify_all(request, display))
    assert display.said == ["No model files are here. Fetch one: mlperf-docker models fetch MODEL"]


@pytest.mark.parametrize(
    ("words", "named", "files"),
    [((), False, ()), (("bert",), True, ()), (("bert", "a.onnx"), True, ("a.onnx",)), (("./bert",), False, ("bert",))],
)
def test_the_first_word_is_a_model_unless_it_looks_like_a_file(
    catalog: Catalog, words: tuple[str, ...], named: bool, files: tuple[str, ...]
) -> None:
    request = read_request(catalog, words, None)
    assert (request.named, tuple(each.name for each in request.files)) == (named, files)
    assert len(request.models) == (1 if named else len(catalog.models))


def test_an_unknown_model_is_a_usage_error(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="resnet50"):
        read_request(catalog, ["resnet5"], None)
