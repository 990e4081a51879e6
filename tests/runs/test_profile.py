"""Profiles: written, found by name or file, applied to options, refused for another cell."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Precision, Scenario, SyntheticSize
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.runs import profile
from mlperf_docker.runs.profile import Profile, TunedHost, TunedOptions

OPTIONS = RunOptions(scenario=Scenario.SERVER, synthetic=SyntheticSize.TINY)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def tuned(spec: ImageSpec, **changes: Any) -> Profile:
    fields: dict[str, Any] = {
        "name": profile.default_name(spec, Precision.FP32, Scenario.SERVER),
        "cell": str(spec),
        "precision": "fp32",
        "scenario": "Server",
        "options": TunedOptions(instances=2, threads_per_instance=1, target_qps=123.5),
        "data": "synthetic tiny",
        "source": recipe_of(spec).source,
        "host": profile.this_host(),
        "trials": 9,
        "trials_sha256": "0" * 64,
        "trials_dir": "/tunings/1",
        "date": dt.datetime(2026, 11, 29, tzinfo=dt.UTC),
    }
    return Profile(**{**fields, **changes})


def kept(found: Profile, host: TunedHost | None = None) -> Path:
    path = profile.place(host) / f"{found.name}.json"
    profile.write(found, path)
    return path


def test_a_profile_is_read_back_by_its_name_and_by_its_file(resnet50: ImageSpec) -> None:
    written = tuned(resnet50)
    path = kept(written)
    assert profile.find("resnet50-onnxruntime-cpu-fp32-Server") == written == profile.find(str(path))
    assert written.reference() == {
        "name": written.name,
        "digest": written.digest,
        "options": {"instances": 2, "threads_per_instance": 1, "target_qps": 123.5},
    }
    assert tuned(resnet50, trials=10).digest != written.digest


def test_a_profile_sets_what_options_leave_open_and_nothing_else(resnet50: ImageSpec) -> None:
    said: list[str] = []
    given = replace(OPTIONS, target_qps=7.0)
    found = tuned(resnet50).applied(resnet50, given, Limits(), said.append)
    assert found == replace(OPTIONS, instances=2, threads_per_instance=1, target_qps=7.0)
    assert said == []


def test_a_profile_of_another_cell_precision_or_scenario_is_refused_with_all_of_them(resnet50: ImageSpec) -> None:
    options = replace(OPTIONS, scenario=Scenario.OFFLINE)
    with pytest.raises(UsageError, match=r"for bert:.*, not resnet50:.*, and for Server, not Offline") as caught:
        tuned(resnet50, cell="bert:onnxruntime-cpu").applied(resnet50, options, Limits(), print)
    assert "mlperf-docker tune resnet50" in str(caught.value.hint)


def test_a_profile_of_another_host_image_data_or_limits_is_used_with_a_warning_each(resnet50: ImageSpec) -> None:
    said: list[str] = []
    other = tuned(resnet50, host=TunedHost(processor="Another", processors=64), source="0" * 12, data="real")
    found = other.applied(resnet50, OPTIONS, Limits(cpus=1.0), said.append)
    assert found.target_qps == 123.5
    assert [any(word in line for line in said) for word in ("64 processors", "image", "real data", "--cpus 1.0")] == [
        True
    ] * 4


def test_an_unknown_profile_gives_the_nearest_and_one_of_another_host_its_file(resnet50: ImageSpec) -> None:
    with pytest.raises(UsageError, match="There is none yet"):
        profile.find("resnet50-onnxruntime-cpu-fp32-Server")
    kept(tuned(resnet50))
    with pytest.raises(UsageError, match="Did you mean resnet50-onnxruntime-cpu-fp32-Server"):
        profile.find("resnet50-onnxruntime-cpu-fp32-Sever")
    path = kept(tuned(resnet50, name="theirs"), TunedHost(processor="Another", processors=64))
    with pytest.raises(UsageError) as caught:
        profile.find("theirs")
    assert str(path) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": {"instances": 0}}, "options.instances"),
        ({"options": {"treads": 2}}, "options.treads"),
        ({"precision": "fp8"}, "precision"),
        ({"host": None}, "host"),
    ],
)
def test_a_damaged_profile_is_one_message_with_the_key(resnet50: ImageSpec, change: dict[str, Any], told: str) -> None:
    path = kept(tuned(resnet50))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=rf"{told}.*"):
        profile.read(path)


def test_a_profile_that_is_no_json_or_no_file_is_a_usage_error(tmp_path: Path) -> None:
    for path, content in ((tmp_path / "half.json", "{"), (tmp_path / "none.json", None)):
        if content is not None:
            path.write_text(content)
        with pytest.raises(UsageError, match=str(path)):
            profile.read(path)
    with pytest.raises(UsageError):
        profile.read(tmp_path)
