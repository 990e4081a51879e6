"""campaign.yaml loads completely, and whatever can be wrong with it is reported with its line."""

from pathlib import Path

import pytest

from mlperf_docker.campaigns.campaign import load
from mlperf_docker.campaigns.entries import EntryPart
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.contract.words import Precision, Scenario, SyntheticSize
from mlperf_docker.errors import UsageError
from mlperf_docker.rounds.words import Division, Suite
from tests.campaigns.files import HEAD, campaign, problems, written

LINE = HEAD.count("\n") + 2
"""Line of the first cell."""


def test_a_campaign_says_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text("{}")
    head = f"{HEAD}system: system.yaml\nresults: here/results\noptions: {{synthetic: tiny, min_duration: 1}}\n"
    found = campaign(tmp_path, "- {model: resnet50, backend: pytorch, modes: [accuracy]}", head)
    assert (found.round.name, found.division, found.suite) == ("v6.1", Division.CLOSED, Suite.EDGE)
    assert (found.submitter, found.system) == ("Example", tmp_path / "system.yaml")
    assert (found.path, found.results) == (tmp_path / "campaign.yaml", tmp_path / "here/results")
    (cell,) = found.cells
    assert (str(cell.spec), cell.precision, cell.parts) == (
        "resnet50:pytorch-cpu",
        Precision.FP32,
        (EntryPart.ACCURACY,),
    )
    assert {each.options.synthetic for each in cell.scenarios} == {SyntheticSize.TINY}
    assert {each.options.min_duration_s for each in cell.scenarios} == {1.0}


def test_required_scenarios_are_those_of_the_round_and_the_suite(tmp_path: Path) -> None:
    edge = campaign(tmp_path, "- model: resnet50")
    assert [each.scenario for each in edge.cells[0].scenarios] == [
        Scenario.SINGLE_STREAM,
        Scenario.MULTI_STREAM,
        Scenario.OFFLINE,
    ]
    head = HEAD.replace("v6.1", "v5.0").replace("edge", "datacenter")
    datacenter = campaign(tmp_path, "- {model: resnet50, scenarios: required}", head)
    assert [each.scenario for each in datacenter.cells[0].scenarios] == [Scenario.SERVER, Scenario.OFFLINE]


def test_a_model_of_several_benchmarks_enters_them_all_unless_told(tmp_path: Path) -> None:
    cell = campaign(tmp_path, "- model: bert").cells[0]
    assert [each.name for each in cell.benchmarks] == ["bert-99", "bert-99.9"]
    one = campaign(tmp_path, "- {model: bert, benchmarks: [bert-99]}").cells[0]
    assert [each.name for each in one.benchmarks] == ["bert-99"]


def test_options_of_a_scenario_go_before_those_of_the_cell_and_these_before_the_campaigns(tmp_path: Path) -> None:
    cells = """
        - model: resnet50
          scenarios: [SingleStream, Offline]
          options: {batch_size: 2, cpus: 1.5}
          scenario_options:
            Offline: {batch_size: 3, target_qps: 100}
    """
    single, offline = (
        campaign(tmp_path, cells, f"{HEAD}options: {{batch_size: 1, threads_per_instance: 4}}\n").cells[0].scenarios
    )
    assert (single.options.batch_size, single.options.threads_per_instance, single.options.target_qps) == (2, 4, None)
    assert (offline.options.batch_size, offline.options.threads_per_instance, offline.options.target_qps) == (
        3,
        4,
        100.0,
    )
    assert (single.limits.cpus, offline.limits.cpus) == (1.5, 1.5)


def test_paths_are_those_that_the_file_sees(tmp_path: Path) -> None:
    for name in ("images", "model.onnx", "user.conf"):
        (tmp_path / name).mkdir() if name == "images" else (tmp_path / name).write_text("x")
    cell = campaign(
        tmp_path, "- {model: resnet50, dataset: images, model_file: ./model.onnx, user_conf: user.conf}"
    ).cells[0]
    assert (cell.dataset, cell.model_file) == (tmp_path / "images", tmp_path / "model.onnx")
    assert cell.user_conf == tmp_path / "user.conf"


def test_a_folder_stands_for_the_campaign_in_it(tmp_path: Path) -> None:
    path = written(tmp_path, "- model: resnet50")
    assert load(tmp_path).path == path
    with pytest.raises(UsageError, match="There is no campaign") as caught:
        load(tmp_path / "other.yaml")
    assert (caught.value.exit_code, "campaign init" in (caught.value.hint or "")) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("{model: resnet5}", "Did you mean resnet50"),
        ("{model: retinanet}", "Round v6.1 has no benchmark of retinanet. Its last round was v6.0"),
        ("{model: rnnt}", "Its last round was v4.0"),
        ("{model: dlrm}", "Round v6.1 has no benchmark of dlrm"),
        ("{model: resnet50, scenarios: [Server]}", "v6.1 has no Server of resnet50 on edge systems"),
        ("{model: resnet50, scenarios: [Offline, Offline]}", "Offline is already in this list"),
        ("{model: resnet50, scenarios: []}", "the list is empty"),
        ("{model: resnet50, scenario_options: {Server: {batch_size: 1}}}", "has no Server"),
        ("{model: bert, precision: int8, backend: pytorch}", "Unknown precision"),
        ("{model: bert, benchmarks: [bert-98]}", "Did you mean bert-99"),
        ("{model: resnet50, dataset: nowhere}", "there is no folder"),
        ("{model: resnet50, model_file: nowhere}", "there is no file"),
        ("{model: resnet50, user_conf: nowhere}", "there is no file"),
        ("{model: resnet50, profile: nowhere}", "has no profile"),
        ("{model: resnet50, profile: ./nowhere.json}", "There is no profile"),
        ("{model: resnet50, dataset: ., options: {synthetic: tiny}}", "makes its own data"),
        ("{model: resnet50, options: {instances: 2}}", "SingleStream has one query at a time"),
        ("{model: resnet50, options: {synthetic_samples: 9}}", "give --synthetic too"),
        ("{model: resnet50, modes: [performance, compliance]}", "are held to accuracy and performance runs"),
        ("{modl: resnet50}", "unknown key"),
        ("{model: resnet50, modes: [speed]}", "'accuracy', 'performance' or 'compliance'"),
        ("{model: resnet50, backend: onnx}", "Unknown backend"),
        ("resnet50", "must be a mapping"),
    ],
)
def test_a_cell_that_cannot_be_is_refused_at_its_line(cell: str, message: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"- {cell}")
    assert {line for line, _ in found} == {LINE}
    assert any(message in each for _, each in found), found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("round: v6.1", "round: v6.2", "round: Unknown round 'v6.2'"),
        ("division: closed", "division: network", "division: input should be 'closed' or 'open'"),
        ("suite: edge", "suite: car", "suite: input should be"),
        ("submitter: Example", "submitter: Example\nsystem: nowhere.json", "system: there is no file"),
        ("submitter: Example", "submitter: ''", "submitter"),
        ("submitter: Example", "colour: red", "unknown key"),
        ("submitter: Example", 'submitter: Example\nresults: "a\\0b"', "results: a path cannot have a null character"),
        ("submitter: Example", "submitter: Example\nresults: ~nobody9/x", "results: ~nobody9/x: there is no user"),
    ],
)
def test_a_head_that_cannot_be_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    found = problems(tmp_path, "- model: resnet50", HEAD.replace(old, new))
    assert any(message in each for _, each in found), found


def test_two_runs_for_one_slot_are_refused_by_the_lines_of_both_cells(tmp_path: Path) -> None:
    cells = """
        - {model: bert, scenarios: [Offline]}
        - {model: bert, backend: pytorch}
    """
    (found,) = problems(tmp_path, cells)
    assert found[0] == LINE + 1
    assert f"the cell in line {LINE} runs bert-99 Offline, bert-99.9 Offline already" in found[1]
    apart = "- {model: bert, benchmarks: [bert-99]}\n- {model: bert, backend: pytorch, benchmarks: [bert-99.9]}"
    assert len(campaign(tmp_path, apart).cells) == 2


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    cells = """
        - {model: resnet50, colour: red}
        - {model: resnet50, dataset: nowhere, options: {batch: 1}}
        - {model: rnnt}
    """
    found = problems(tmp_path, cells, HEAD.replace("Example", "Example\noptions: {min_duration: -1}"))
    assert [line for line, _ in found] == [LINE - 1, LINE + 1, LINE + 2, LINE + 2, LINE + 3]


def test_the_open_division_takes_any_scenario_of_a_benchmark(tmp_path: Path) -> None:
    head = HEAD.replace("closed", "open").replace("v6.1", "v6.0")
    found = campaign(tmp_path, "- {model: retinanet, scenarios: [Server]}", head)
    assert [each.name for each in found.cells[0].benchmarks] == ["retinanet"]


def test_a_model_that_only_the_open_division_takes_is_told_so(tmp_path: Path) -> None:
    ((_, message),) = problems(tmp_path, "- model: retinanet", HEAD.replace("v6.1", "v6.0"))
    assert "v6.0 takes retinanet" in message


def test_the_folders_of_a_clusters_volumes_are_seen_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    head = f"{HEAD}kubernetes: {{namespace: lab, volumes: [{{path: data, claim: sets}}]}}\n"
    (volume,) = campaign(tmp_path, "- model: resnet50\n  options: {synthetic: tiny}", head).kubernetes.volumes
    assert (volume.path, volume.claim) == (str(tmp_path / "data"), "sets")


def test_volumes_that_cannot_be_are_told_by_line(tmp_path: Path) -> None:
    head = f"""{HEAD}kubernetes:
  volumes:
    - {{path: nowhere, claim: sets}}
    - {{path: ., claim: sets, host_path: /x}}
    - {{path: ., host_path: x}}
    - {{path: ., claim: sets, sub_path: ../up}}
  node_selector: {{gpu: 1}}
"""
    found = problems(tmp_path, "- model: resnet50\n  options: {synthetic: tiny}", head)
    assert [line for line, _ in found] == [8, 9, 10, 11]
    assert "one of host_path, nfs, claim" in found[0][1]
    head = f"{HEAD}kubernetes: {{volumes: [{{path: nowhere, claim: sets}}]}}\n"
    ((line, told),) = problems(tmp_path, "- model: resnet50\n  options: {synthetic: tiny}", head)
    assert (line, told) == (5, f"kubernetes.volumes[0].path: there is no folder {tmp_path / 'nowhere'}")
