"""Differences that make a result another run's: image, data set, model file, settings that decide what is measured."""

import os
from pathlib import Path

import pytest

from mlperf_docker.campaigns import matching
from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.plan import PlannedRun, State
from mlperf_docker.contract.options import RunOptions, declared
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, named, planned, plans
from tests.results.run_results import REFERENCE, run_result

DATA_HEAD = HEAD.replace("closed", "open")


def with_options(folder: Path, options: str) -> Campaign:
    return campaign(
        folder, f"- {{model: resnet50, scenarios: [Offline], options: {{synthetic: tiny, {options}}}}}", DATA_HEAD
    )


def after(folder: Path, before: str, now: str, kind: str) -> PlannedRun:
    """The run of *kind* as planned with the options *now*, whose result is of the options *before*."""
    maker = plans(with_options(folder, before))
    finish(named(maker.plan(), kind), maker)
    return named(planned(with_options(folder, now)), kind)


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [
        ("min_duration: 1", "min_duration: 2", "min_duration_s is 2.0 now, and was 1.0"),
        ("batch_size: 4", "instances: 2", "instances is 2 now, and was not given"),
        ("cpus: 2", "cpuset: 0-1", "--cpuset is 0-1 now, and was not given"),
        ("trace: true", "trace: false", "trace is not given now, and was True"),
    ],
)
def test_an_option_that_changed_makes_a_performance_run_stale(
    before: str, now: str, difference: str, tmp_path: Path
) -> None:
    run = after(tmp_path, before, now, "performance")
    assert (run.state, difference in run.why) == (State.STALE, True), run.why


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("min_duration: 1, target_qps: 10", "min_duration: 2, trace: true", "accuracy"),
        ("cpus: 2", "cpuset: 0-1", "accuracy"),
        ("memory: 4g", "memory: 5g", "performance"),
        ("trace: false", "min_duration: 600, trace: false", "accuracy"),
    ],
)
def test_an_option_without_a_say_in_what_is_measured_changes_nothing(
    before: str, now: str, kind: str, tmp_path: Path
) -> None:
    assert after(tmp_path, before, now, kind).finished


def test_an_option_that_is_given_as_it_is_anyway_changes_nothing(tmp_path: Path) -> None:
    assert after(tmp_path, "min_duration: 1", "min_duration: 1, trace: false", "performance").finished


def test_options_of_the_comparison_are_options_of_runs() -> None:
    names = {each.name for each in declared(RunOptions)}
    assert names >= matching.NO_MATTER | matching.ONLY_SPEED


def test_another_round_has_other_seeds(tmp_path: Path) -> None:
    maker = plans(with_options(tmp_path, "min_duration: 1"))
    finish(named(maker.plan(), "performance"), maker)
    text = (tmp_path / "campaign.yaml").read_text().replace("v6.1", "v6.0")
    (tmp_path / "campaign.yaml").write_text(text)
    from mlperf_docker.campaigns.campaign import load

    why = named(planned(load(tmp_path)), "performance").why
    assert any(each.startswith("qsl_rng_seed is ") for each in why)


def test_a_result_of_another_cell_scenario_or_kind_is_none_of_the_runs(tmp_path: Path) -> None:
    found = with_options(tmp_path, "min_duration: 1")
    (wanted,) = (each for each in plans(found).wanted if each.name.endswith("performance"))
    assert matching.is_of(run_result(), wanted)
    for changes in ({"backend": "pytorch"}, {"precision": "int8"}, {"scenario": "Server"}, {"mode": "accuracy"}):
        assert not matching.is_of(run_result(**changes), wanted)
    assert not matching.is_of(run_result(harness=REFERENCE), wanted), "the reference's figures are another system's"


def test_a_result_without_a_record_of_its_request_is_stale(tmp_path: Path) -> None:
    maker = plans(with_options(tmp_path, "min_duration: 1"))
    finish(named(maker.plan(), "performance"), maker, request=None)
    run = named(maker.plan(), "performance")
    assert (run.state, run.why) == (State.STALE, ("it is of a version that kept no record of its request",))


def test_another_source_of_the_image_makes_a_result_stale(tmp_path: Path) -> None:
    maker = plans(with_options(tmp_path, "min_duration: 1"))
    result = finish(named(maker.plan(), "performance"), maker)
    assert result.request is not None
    other = result.request.model_copy(update={"source": "0" * 12})
    (Path(result.results_dir) / "result.json").write_text(result.model_copy(update={"request": other}).to_json())
    (why,) = named(maker.plan(), "performance").why
    assert why.startswith("the image's source is ")


@pytest.fixture
def real(tmp_path: Path) -> Campaign:
    """A campaign on a data set, a model file and a user.conf of its own."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/val_map.txt").write_text("a.jpg 1\n")
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "user.conf").write_text("*.Offline.min_query_count = 1\n")
    cell = "- {model: resnet50, scenarios: [Offline], dataset: data, model_file: model.onnx, user_conf: user.conf}"
    return campaign(tmp_path, cell, DATA_HEAD)


def finished(found: Campaign) -> None:
    maker = plans(found)
    (cell,) = maker.inputs.values()
    file = {"name": "model.onnx", "sha256": cell.checksum("model.onnx")}
    finish(named(maker.plan(), "performance"), maker, model_file=file)
    assert named(planned(found), "performance").finished


def test_a_data_set_that_was_only_touched_is_the_same(real: Campaign, tmp_path: Path) -> None:
    finished(real)
    for name in ("data/val_map.txt", "model.onnx"):
        os.utime(tmp_path / name, (1, 1))
    assert named(planned(real), "performance").finished


@pytest.mark.parametrize(
    ("name", "message"),
    [("data/val_map.txt", "the data set is "), ("model.onnx", "the model file is "), ("user.conf", "user.conf is ")],
)
def test_a_changed_input_makes_a_result_stale(name: str, message: str, real: Campaign, tmp_path: Path) -> None:
    finished(real)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"2")
    run = named(planned(real), "performance")
    assert run.state is State.STALE
    assert [each.startswith(message) for each in run.why] == [True]


def test_a_model_in_several_files_is_compared_file_by_file(real: Campaign, tmp_path: Path) -> None:
    (tmp_path / "model.data").write_bytes(b"more")
    maker = plans(real)
    (cell,) = maker.inputs.values()
    files = {name: cell.checksum(name) for name in ("model.onnx", "model.data")}
    file = {"name": "model.onnx", "sha256": "0" * 64, "files": files}
    finish(named(maker.plan(), "performance"), maker, model_file=file)
    assert named(planned(real), "performance").finished
    (tmp_path / "model.data").write_bytes(b"less")
    assert named(planned(real), "performance").state is State.STALE
