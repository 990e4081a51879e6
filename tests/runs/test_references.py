"""Earlier runs of a compliance run: found among results, named, missing, and mounted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.events import ResultEvent
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario, SyntheticLabels, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import UsageError
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import references, session
from mlperf_docker.runs.references import References
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.runtimes.docker import DockerRuntime
from tests.fakes.container_engine import ContainerEngine, died
from tests.fakes.engine import FakeDisplay, FakeEngine
from tests.results.run_results import COMPLIANCE, REFERENCE, run_result, write_run

TEST01, TEST04 = ComplianceTest.TEST01, ComplianceTest.TEST04
OPTIONS = RunOptions(compliance=TEST01, synthetic=SyntheticSize.TINY)
SETTINGS = {"min_duration_ms": 5000, "batch_size": 8, "dataset_samples": 64}


@pytest.fixture
def request_(resnet50: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRequest:
    for kind in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    root = tmp_path / "results"
    root.mkdir()
    return RunRequest(resnet50, OPTIONS, Limits(), Sources("mlperf-docker"), results_root=root)


def performance(root: Path, name: str, **changes: Any) -> RunResult:
    return write_run(root, name, **{"synthetic_size": "tiny", "settings": SETTINGS, **changes})


def accuracy(root: Path, name: str, **changes: Any) -> RunResult:
    score = {"metric": "top-1", "value": 87.5, "target": 87.5, "passed": True}
    return performance(root, name, **{"mode": "accuracy", "metric": None, "accuracy": score, **changes})


def found(request: RunRequest) -> References:
    runs = references.of_request(request)
    assert runs is not None
    return runs


def test_the_newest_valid_runs_that_match_are_taken(request_: RunRequest) -> None:
    root = request_.root
    for day in (1, 2):
        performance(root, f"2026110{day}T000000-p")
        accuracy(root, f"2026110{day}T000000-a")
    others: tuple[dict[str, Any], ...] = (
        {"valid": False},
        {"scenario": "Server"},
        {"model": "bert"},
        {"precision": "int8"},
        {"synthetic": False, "synthetic_size": None},
        {"synthetic_size": "full"},
        {"compliance": COMPLIANCE},
    )
    for number, changes in enumerate(others):
        performance(root, f"20261103T00000{number}-p", **changes)
        accuracy(root, f"20261103T00000{number}-a", **changes)
    runs = found(request_)
    assert runs.names == {"performance_run": "20261102T000000-p", "accuracy_run": "20261102T000000-a"}


def test_test04_needs_no_accuracy_run(request_: RunRequest) -> None:
    performance(request_.root, "20261101T000000-p")
    request = replace(request_, options=replace(OPTIONS, compliance=TEST04))
    assert found(request).names == {"performance_run": "20261101T000000-p", "accuracy_run": None}


def test_a_run_of_other_settings_is_left_out(request_: RunRequest) -> None:
    performance(request_.root, "20261101T000000-p")
    performance(request_.root, "20261102T000000-p", settings={**SETTINGS, "min_duration_ms": 600_000})
    request = replace(request_, options=replace(OPTIONS, compliance=TEST04, min_duration_s=5.0))
    assert found(request).performance.name == "20261101T000000-p"


def test_an_accuracy_run_of_other_data_is_left_out(request_: RunRequest) -> None:
    performance(request_.root, "20261101T000000-p")
    accuracy(request_.root, "20261101T000000-a")
    accuracy(request_.root, "20261102T000000-a", settings={**SETTINGS, "dataset_samples": 20})
    assert found(request_).names["accuracy_run"] == "20261101T000000-a"


def on_record(**options: Any) -> dict[str, Any]:
    """What a run was asked for, as its result keeps it."""
    given = {"synthetic_labels": "damaged", **options}
    nothing = dict.fromkeys(("dataset", "model_file", "user_conf", "profile"))
    return {"command": ["mlperf-docker", "run"], "source": "0", "options": given, "limits": {}, **nothing}


def test_runs_on_another_synthetic_set_are_left_out(request_: RunRequest) -> None:
    root, whole = request_.root, {"synthetic_samples": 1024, "synthetic_labels": "whole"}
    large = {**SETTINGS, "dataset_samples": 1024}
    performance(root, "20261101T000000-p", request=on_record())
    performance(root, "20261102T000000-p", settings=large, request=on_record(**whole))
    performance(root, "20261103T000000-p", request=on_record(samples=20))
    options = replace(OPTIONS, compliance=TEST04)
    assert found(replace(request_, options=options)).performance.name == "20261101T000000-p"
    options = replace(options, synthetic_samples=1024, synthetic_labels=SyntheticLabels.WHOLE)
    assert found(replace(request_, options=options)).performance.name == "20261102T000000-p"


def test_missing_runs_are_told_together_with_the_commands_that_make_them(request_: RunRequest) -> None:
    options = replace(OPTIONS, scenario=Scenario.SINGLE_STREAM, min_duration_s=5.0)
    with pytest.raises(UsageError) as caught:
        references.of_request(replace(request_, options=options))
    said, hint = str(caught.value), str(caught.value.hint)
    what = "run of resnet50:onnxruntime-cpu in SingleStream, fp32, synthetic tiny"
    assert said == (
        f"TEST01 compares with earlier runs. There is no valid performance {what} in {request_.root}. There is no valid"
        f" accuracy {what} in {request_.root}."
    )
    run = "mlperf-docker run resnet50 -b onnxruntime -d cpu --precision=fp32 --scenario=SingleStream"
    end = f"--results={request_.root}"
    assert hint.splitlines() == [
        f"Make it: {run} --mode=performance --synthetic=tiny --min-duration=5.0 {end}",
        f"       Make it: {run} --mode=accuracy --synthetic=tiny {end}",
    ]


def test_the_newest_run_of_other_settings_is_named_where_none_matches(request_: RunRequest) -> None:
    performance(request_.root, "20261101T000000-p")
    with pytest.raises(UsageError, match=r"\(20261101T000000-p: its batch_size is 8, not 4\)"):
        references.of_request(replace(request_, options=replace(OPTIONS, compliance=TEST04, batch_size=4)))


def test_runs_are_named_as_results_names_them(request_: RunRequest, tmp_path: Path) -> None:
    performance(request_.root, "20261101T000000-p")
    performance(request_.root, "20261102T000000-p")
    (tmp_path / "elsewhere").mkdir()
    other = accuracy(tmp_path / "elsewhere", "20261103T000000-a")
    runs = found(replace(request_, performance_run="20261101", accuracy_run=other.results_dir))
    assert runs.names == {"performance_run": "20261101T000000-p", "accuracy_run": "20261103T000000-a"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valid": False}, "it is INVALID"),
        ({"mode": "accuracy"}, "its kind is accuracy, not performance"),
        ({"harness": REFERENCE}, "its harness is reference, not own"),
        ({"compliance": COMPLIANCE}, "its kind is TEST04, not performance"),
        ({"backend": "pytorch"}, "its cell is resnet50:pytorch-cpu, not resnet50:onnxruntime-cpu"),
    ],
)
def test_a_named_run_that_does_not_match_is_refused(request_: RunRequest, changes: dict[str, Any], said: str) -> None:
    performance(request_.root, "20261101T000000-p")
    performance(request_.root, "20261102T000000-p", **changes)
    request = replace(request_, options=replace(OPTIONS, compliance=TEST04), performance_run="20261102")
    with pytest.raises(UsageError) as caught:
        references.of_request(request)
    assert f"--performance-run 20261102T000000-p does not match: {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "option"), [({"performance_run": "x"}, "--performance-run"), ({"accuracy_run": "x"}, "--accuracy-run")]
)
def test_other_runs_name_no_earlier_run(request_: RunRequest, changes: dict[str, Any], option: str) -> None:
    request = replace(request_, options=replace(OPTIONS, compliance=None), **changes)
    with pytest.raises(UsageError, match=f"{option} is for a compliance run"):
        references.of_request(request)


def test_an_ordinary_run_needs_no_earlier_run(request_: RunRequest) -> None:
    assert references.of_request(replace(request_, options=replace(OPTIONS, compliance=None))) is None


def test_the_folders_are_mounted_read_only_and_named_in_the_result(
    request_: RunRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, scored = performance(request_.root, "20261101T000000-p"), accuracy(request_.root, "20261101T000000-a")
    reply = run_result(compliance={**COMPLIANCE, "test": "TEST01"}).model_dump(
        mode="json", exclude={"image", "results_dir", "duration_s"}
    )
    exact = candidates(FakeEngine(), recipe_of(request_.spec).identity, request_.sources)[0].exact
    engine = ContainerEngine(exact, lines=(ResultEvent(reply),), ending=died(0))
    monkeypatch.setattr(session, "runtime_for", lambda *_: DockerRuntime(engine))
    result = session.run(request_, FakeDisplay())
    (configuration,) = engine.configurations
    mounts = {each["Target"]: each for each in configuration["HostConfig"]["Mounts"]}
    assert mounts["/performance-run"]["Source"] == before.results_dir
    assert mounts["/accuracy-run"]["Source"] == scored.results_dir
    assert all(mounts[place]["ReadOnly"] for place in ("/performance-run", "/accuracy-run"))
    words = {"--compliance=TEST01", "--performance-run=/performance-run", "--accuracy-run=/accuracy-run"}
    assert words <= set(configuration["Cmd"])
    assert result.compliance is not None
    assert (result.compliance.performance_run, result.compliance.accuracy_run) == (before.name, scored.name)
    assert result.name.endswith("resnet50-onnxruntime-cpu-Offline-TEST01")


def test_a_test_that_a_model_does_not_have_is_refused(request_: RunRequest, catalog: Catalog) -> None:
    bert = next(spec for spec in catalog.specs if spec.model.name == "bert")
    request = replace(request_, spec=bert, options=replace(OPTIONS, compliance=TEST04))
    with pytest.raises(UsageError, match="bert has no TEST04: it has TEST01, TEST05"):
        session.run(request, FakeDisplay())


def test_an_accuracy_run_is_no_compliance_run(request_: RunRequest) -> None:
    request = replace(request_, options=replace(OPTIONS, mode=Mode.ACCURACY))
    with pytest.raises(UsageError, match="--compliance and --mode accuracy exclude each other"):
        session.run(request, FakeDisplay())
