"""Data set of a run for which no folder is named, and synthetic data where there is none."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import DatasetError, UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs.datasets import location
from mlperf_docker.rounds.loading import load
from mlperf_docker.runs import job, session
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runs.session import dry_run
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.system import paths
from tests.evidence.test_evidence import Quiet
from tests.fakes.engine import EmptyEngine
from tests.results.run_results import run_result


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resnet50: ImageSpec) -> Path:
    """Where ImageNet would be; it is not made."""
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.delenv(paths.DATA_VARIABLE, raising=False)
    return location.place(resnet50.model.dataset)


@pytest.fixture
def request_(resnet50: ImageSpec) -> RunRequest:
    options = RunOptions()
    return RunRequest(resnet50, options, Limits(), Sources("mlperf-docker"))


def test_a_data_sets_place_follows_the_environment(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place == tmp_path / "data/mlperf-docker/data/imagenet2012"
    monkeypatch.setenv(paths.DATA_VARIABLE, "~/sets")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.data_dir("kits19") == tmp_path / "sets/kits19"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(paths.DATA_VARIABLE, "here")
    assert paths.data_dir("kits19") == tmp_path / "here/kits19"


@pytest.mark.parametrize("empty", [False, True])
def test_a_run_without_data_is_synthetic_and_says_so(place: Path, request_: RunRequest, empty: bool) -> None:
    if empty:
        (place / "left by a fetch").mkdir(parents=True)
    said: list[str] = []
    command = dry_run(request_, said.append)
    assert "--synthetic=tiny --min-duration=5.0" in command
    assert "dst=/data" not in command
    (warning,) = said
    assert warning.startswith(f"Warning: no ImageNet 2012 validation set at {place}: ")
    assert "mlperf-docker data fetch imagenet2012." in warning
    assert "\n" not in warning
    options = replace(request_.options, min_duration_s=33.0)
    assert "--synthetic=tiny --min-duration=33.0" in dry_run(replace(request_, options=options), said.append)
    assert "for 33 s" in said[1]


def test_a_run_on_synthetic_data_may_bootstrap_its_base(place: Path, request_: RunRequest) -> None:
    assert session.with_data(request_, lambda _: None).sources.bootstrap
    asked = replace(request_, options=replace(request_.options, synthetic=SyntheticSize.TINY))
    place.mkdir(parents=True)
    (place / "val_map.txt").touch()
    for given in (asked, replace(request_, dataset=place), request_):
        assert not session.with_data(given, lambda _: pytest.fail("nothing is made up")).sources.bootstrap


def test_made_up_data_leave_the_duration_to_a_user_conf(place: Path, request_: RunRequest, tmp_path: Path) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text("*.*.min_duration = 3000\n")
    said: list[str] = []
    command = dry_run(replace(request_, user_conf=conf), said.append)
    assert "--synthetic=tiny" in command
    assert "--min-duration" not in command
    assert "--synthetic tiny; not an MLPerf" in said[0]


def test_a_data_set_in_its_place_is_used(place: Path, request_: RunRequest, tmp_path: Path) -> None:
    place.mkdir(parents=True)
    (place / "val_map.txt").write_text("a.JPEG 1\n")
    model = paths.models_dir("resnet50") / "resnet50_v1.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"any")
    said: list[str] = []
    command = dry_run(replace(request_, model_file=model), said.append)
    assert f"src={place},dst=/data,readonly" in command
    assert "--synthetic" not in command
    assert said == []


@pytest.mark.parametrize("kind", ["another file", "a link to nowhere", "a file", "a link to itself"])
def test_a_damaged_data_set_in_its_place_is_an_error(place: Path, request_: RunRequest, kind: str) -> None:
    place.parent.mkdir(parents=True)
    if kind == "another file":
        place.mkdir()
        (place / "ILSVRC2012_img_val.tar.partial").touch()
    elif kind == "a link to nowhere":
        place.symlink_to("/nowhere")
    elif kind == "a file":
        place.touch()
    else:
        place.symlink_to(place)
    with pytest.raises(DatasetError, match=re.escape(str(place.resolve() if kind == "a link to nowhere" else place))):
        dry_run(request_, lambda _: pytest.fail("nothing is made up"))


def test_a_required_data_set_that_is_missing_is_an_error(place: Path, request_: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"any")
    for wanted in (
        replace(request_, require_dataset=True),
        replace(request_, model_file=tmp_path / "model.onnx"),
        replace(request_, round=load().newest),
    ):
        with pytest.raises(DatasetError, match=str(place)) as caught:
            dry_run(wanted, lambda _: pytest.fail("nothing is made up"))
        assert caught.value.exit_code is ExitCode.DATASET
        assert "mlperf-docker data fetch imagenet2012." in (caught.value.hint or "")
    made_up = replace(request_, options=replace(request_.options, synthetic=SyntheticSize.TINY))
    for contradiction in (replace(made_up, require_dataset=True), replace(made_up, dataset=tmp_path)):
        with pytest.raises(UsageError, match="exclude each other"):
            dry_run(contradiction, lambda _: None)


def test_a_first_look_has_three_tries(
    place: Path, request_: RunRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine that was quicker than estimated makes a short run INVALID."""
    verdicts = [False, False, True, False]

    def perform(_client: object, _job: object, _display: object, *_: object) -> job.Performed[RunReply]:
        time.sleep(0.002)  # results are named by the millisecond
        result = run_result(valid=verdicts.pop(0), reasons=["It took 4.9 s of 5 s."])
        assert result.image is not None
        return job.Performed(RunCommand().read(result.model_dump(mode="json")), result.image, 1.0)

    monkeypatch.setattr(session, "perform", perform)
    monkeypatch.setattr(session, "runtime_for", lambda *_: DockerRuntime(EmptyEngine()))
    display = Quiet()
    (tmp_path / "results").mkdir()
    asked = replace(request_, results_root=tmp_path / "results")
    assert session.run(asked, display).valid
    assert [line for line in display.said if "INVALID" in line] == ["INVALID: It took 4.9 s of 5 s. Once more."] * 2
    assert len(list((tmp_path / "results").glob("[0-9]*-*"))) == 3
    wanted = replace(asked, options=replace(asked.options, synthetic=SyntheticSize.TINY))
    assert not session.run(wanted, display).valid, "what was asked for is run once"
    assert verdicts == []
