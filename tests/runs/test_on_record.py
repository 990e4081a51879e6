"""The request on record: an equal command, and everything that decides what is measured."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.cli.app import app
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runs import session
from mlperf_docker.runs.on_record import command, on_record
from mlperf_docker.runs.request import RunRequest
from tests.fakes.engine import FakeDisplay

OPTIONS = RunOptions(
    scenario=Scenario.SERVER,
    mode=Mode.ACCURACY,
    precision=Precision.FP32,
    synthetic=SyntheticSize.TINY,
    min_duration_s=1.5,
    target_qps=20.0,
    batch_size=4,
    trace=True,
)


@pytest.fixture
def asked(resnet50: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return RunRequest(resnet50, OPTIONS, Limits(cpus=1.5, cpuset="0-1"), Sources("mlperf-docker"))


def test_a_request_on_record_says_what_was_asked_for(asked: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "user.conf").write_text("*.Offline.min_duration = 1\n")
    found = on_record(replace(asked, user_conf=tmp_path / "user.conf"), FakeDisplay())
    assert (found.source, found.dataset, found.model_file) == (recipe_of(asked.spec).source, None, None)
    assert found.options["target_qps"] == 20.0
    assert "samples" not in found.options
    assert found.limits == {"cpus": 1.5, "cpuset": "0-1"}
    digest = hashlib.sha256((tmp_path / "user.conf").read_bytes()).hexdigest()
    assert found.user_conf == f"sha256:{digest}"


def test_a_data_set_is_on_record_by_name_place_and_contents(asked: RunRequest, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/val_map.txt").write_text("a 1\n")
    request, display = replace(asked, dataset=tmp_path / "data"), FakeDisplay()
    found = on_record(request, display).dataset
    assert found is not None
    assert (found.name, found.folder) == (asked.spec.model.dataset.name, str(tmp_path / "data"))
    assert found.identity.startswith("sha256:")
    assert display.phases == [f"identify {asked.spec.model.dataset.title}"]


def test_the_command_on_record_is_taken_for_the_same_request(
    asked: RunRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[RunRequest] = []

    def run(request: RunRequest, _: object) -> None:
        taken.append(request)
        raise typer.Exit

    monkeypatch.setattr(session, "run", run)
    request = replace(asked, results_root=tmp_path)
    words = command(request)
    assert words[:2] == ("mlperf-docker", "run")
    CliRunner().invoke(app, words[1:], catch_exceptions=False)
    (found,) = taken
    assert (found.options, found.limits, found.results_root) == (request.options, request.limits, tmp_path)
