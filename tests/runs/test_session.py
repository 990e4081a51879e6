"""A run from the request to result.json, in a container of an engine that is made up."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.events import ErrorEvent, ResultEvent
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import ContainerError, DatasetError
from mlperf_docker.host import facts
from mlperf_docker.host.energy import Energy
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results import store
from mlperf_docker.results.values import ImageUsed, RuntimeUsed
from mlperf_docker.rounds.loading import load
from mlperf_docker.runs import session
from mlperf_docker.runs.job import Performed
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.systems.runs_on import container_host
from tests.fakes.container_engine import ContainerEngine, died
from tests.fakes.engine import FakeDisplay, FakeEngine
from tests.results.run_results import run_result
from tests.runs.test_profile import tuned
from tests.systems.test_runs_on import ELSEWHERE, ToldEngine


@pytest.fixture
def request_(resnet50: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    (tmp_path / "results").mkdir()
    options = RunOptions(
        scenario=Scenario.OFFLINE, mode=Mode.PERFORMANCE, precision=Precision.FP32, synthetic=SyntheticSize.TINY
    )
    return RunRequest(resnet50, options, Limits(), Sources("mlperf-docker"), results_root=tmp_path / "results")


def engine_that_prints(
    request: RunRequest, monkeypatch: pytest.MonkeyPatch, *lines: ResultEvent | ErrorEvent, code: int = 0
) -> ContainerEngine:
    """An engine with the image of *request*, whose container prints *lines*."""
    exact = candidates(FakeEngine(), recipe_of(request.spec).identity, request.sources)[0].exact
    engine = ContainerEngine(exact, lines=lines, ending=died(code))
    monkeypatch.setattr(session, "runtime_for", lambda *_: DockerRuntime(engine))
    return engine


def reply() -> dict[str, Any]:
    """What the harness says: a result without what the host adds."""
    return run_result().model_dump(mode="json", exclude={"image", "results_dir", "duration_s"})


def test_a_run_writes_the_harnesses_result_with_the_image_and_the_folder(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_that_prints(request_, monkeypatch, ResultEvent(reply()))
    result = session.run(request_, FakeDisplay())
    assert result.results_dir is not None
    folder = Path(result.results_dir)
    written = json.loads((folder / store.RESULT_FILE).read_text())
    assert written["metric"] == reply()["metric"]
    assert written["image"]["tag"] in engine.present
    assert folder.parent == request_.root
    assert (folder / store.LOG_FILE).read_text().startswith('{"event": "result"')


def test_the_container_gets_the_options_the_folders_and_no_data_for_a_synthetic_run(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = engine_that_prints(request_, monkeypatch, ResultEvent(reply()))
    result = session.run(replace(request_, limits=Limits(cpus=2.0)), FakeDisplay())
    (configuration,) = engine.configurations
    assert configuration["Image"] in engine.present
    assert {"--scenario=Offline", "--synthetic=tiny"} <= set(configuration["Cmd"])
    mounts = {each["Target"]: each["Source"] for each in configuration["HostConfig"]["Mounts"]}
    assert mounts == {"/cache": str(tmp_path / "cache/mlperf-docker/harness"), "/results": result.results_dir}
    assert configuration["HostConfig"]["NanoCpus"] == 2_000_000_000


def test_a_run_that_fails_leaves_its_log_and_no_result(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_that_prints(request_, monkeypatch, ErrorEvent(int(ExitCode.DATASET), "no such data"), code=6)
    with pytest.raises(DatasetError, match="no such data") as caught:
        session.run(request_, FakeDisplay())
    assert caught.value.log is not None
    assert caught.value.log.is_file()
    assert list(request_.root.rglob(store.RESULT_FILE)) == []


def test_a_reply_of_another_harness_is_an_error_that_names_the_key(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_that_prints(request_, monkeypatch, ResultEvent({**reply(), "scenario": "Batch"}))
    with pytest.raises(ContainerError, match=r"reply to run cannot be read: .*scenario"):
        session.run(request_, FakeDisplay())


def test_a_profile_gives_the_container_what_the_options_leave_open(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_that_prints(request_, monkeypatch, ResultEvent(reply()))
    offline = tuned(request_.spec, scenario="Offline", options=TunedOptions(instances=2, batch_size=8))
    session.run(replace(request_, profile=offline, options=replace(request_.options, batch_size=4)), FakeDisplay())
    (configuration,) = engine.configurations
    assert {"--instances=2", "--batch-size=4"} <= set(configuration["Cmd"])


def test_a_run_for_a_round_has_its_seeds_and_its_verdict(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    round_ = load().find("v5.1")
    seeds = round_.seeds.model_dump()
    engine = engine_that_prints(request_, monkeypatch, ResultEvent({**reply(), "seeds": seeds}))
    display = FakeDisplay()
    result = session.run(replace(request_, round=round_), display)
    (configuration,) = engine.configurations
    words = {f"--{name.replace('_', '-')}={seed}" for name, seed in seeds.items()}
    assert {*words, "--min-query-count=24576"} <= set(configuration["Cmd"])
    assert result.round is not None
    assert (result.round.name, result.round.counts) == ("v5.1", False)
    assert "the data are synthetic" in result.round.why
    assert not any("v5.1" in why for why in result.round.why)
    assert result.request is not None
    assert "--round=v5.1" in result.request.command
    assert [said for said in display.said if "cannot count for v5.1: the data are synthetic." in said]


def test_a_run_for_no_round_is_judged_by_the_newest_and_has_loadgens_own_seeds(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_that_prints(request_, monkeypatch, ResultEvent(reply()))
    display = FakeDisplay()
    result = session.run(request_, display)
    assert result.round is not None
    assert result.round.name == load().newest.name
    assert not [word for word in engine.configurations[0]["Cmd"] if "seed" in word]
    assert not [said for said in display.said if "count" in said]


@pytest.mark.parametrize("kernel", [os.uname().release, "5.4.0-elsewhere"])
def test_a_container_that_anybody_ran_is_completed_with_energy_only_of_this_host(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    prepared = session.prepare(request_, FakeDisplay())
    folder = request_.root / "20261101T000000-any"
    folder.mkdir()
    performed = Performed(RunCommand().read(reply()), ImageUsed(tag="t", id="i", base="b"), 1.0)
    host = container_host(ToldEngine({**ELSEWHERE, "KernelVersion": kernel}))
    result = session.complete(prepared, folder, performed, host, Energy("RAPL packages", 128.0, 10.0, 12.8))
    assert store.read_file(folder / store.RESULT_FILE) == result
    told = facts.read(result.host)
    assert told is not None
    assert told.system.kernel == kernel
    assert (result.energy is not None) is (kernel == os.uname().release)
    assert result.request == prepared.record
    assert result.runtime is None


def test_a_run_names_its_runtime(request_: RunRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_that_prints(request_, monkeypatch, ResultEvent(reply()))
    assert session.run(request_, FakeDisplay()).runtime == RuntimeUsed(name="docker", version="20.10.24")
