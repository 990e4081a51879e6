"""The plan of a campaign: which runs, in which order, in which state, as the results folder tells it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.campaigns import inputs, turns
from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.plan import State
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.results import store
from mlperf_docker.system import exclusive, node
from tests.bundle.bundles import bundle, packed
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import attempt, finish, finish_all, named, planned, plans

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"
OPEN = TINY.replace("closed", "open")


@pytest.fixture
def resnet(tmp_path: Path) -> Campaign:
    """Closed, edge: three scenarios, each with accuracy, performance and two tests."""
    return campaign(tmp_path, "- model: resnet50", TINY)


def states(of: Campaign) -> dict[str, State]:
    return {run.name.split(" ", 2)[2]: run.state for run in planned(of).runs}


def test_a_closed_campaign_has_each_scenario_with_accuracy_performance_and_tests(resnet: Campaign) -> None:
    scenarios = (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.OFFLINE)
    kinds = (Mode.ACCURACY, Mode.PERFORMANCE, ComplianceTest.TEST01, ComplianceTest.TEST04)
    runs = planned(resnet).runs
    assert [(run.kind, run.scenario) for run in runs] == [(kind, each) for kind in kinds for each in scenarios]
    assert [str(slot) for slot in runs[0].slots] == ["resnet SingleStream accuracy"]


def test_a_run_comes_after_those_that_it_needs(tmp_path: Path) -> None:
    for run in (plan := planned(campaign(tmp_path, "- model: resnet50\n- model: bert", TINY))).runs:
        before = [each.name for each in plan.runs[: plan.runs.index(run)]]
        assert set(run.needs) <= set(before)


def test_a_test_waits_for_the_runs_that_it_is_held_to(resnet: Campaign) -> None:
    plan = planned(resnet)
    first = named(plan, "Offline TEST01")
    assert (first.state, first.why) == (State.WAITING, ("for its performance and accuracy run",))
    maker = plans(resnet)
    speed = finish(named(plan, "Offline performance"), maker)
    accuracy = finish(named(plan, "Offline accuracy"), maker)
    ready = named(maker.plan(), "Offline TEST01")
    assert (ready.state, ready.request.performance_run, ready.request.accuracy_run) == (
        State.MISSING,
        speed.name,
        accuracy.name,
    )


def test_the_open_division_has_no_tests(tmp_path: Path) -> None:
    assert {run.kind for run in planned(campaign(tmp_path, "- model: resnet50", OPEN)).runs} == set(Mode)


def test_modes_choose_the_runs(tmp_path: Path) -> None:
    found = planned(campaign(tmp_path, "- {model: resnet50, modes: [performance]}", TINY))
    assert {run.kind for run in found.runs} == {Mode.PERFORMANCE}


def test_a_campaign_is_complete_when_every_run_has_its_result(resnet: Campaign) -> None:
    assert not planned(resnet).complete
    finish_all(resnet)
    plan = planned(resnet)
    assert plan.complete
    assert len(list(plan.filled())) == 12
    folders = {run.result.results_dir for run in plan.runs if run.result}
    assert len(folders) == 12
    slot = plan.runs[0].slots[0]
    assert plan.run_for(slot) is plan.runs[0]


def test_a_result_that_is_not_valid_leaves_its_run_open(resnet: Campaign) -> None:
    maker = plans(resnet)
    finish(named(maker.plan(), "Offline performance"), maker, valid=False, reasons=["too short"])
    run = named(maker.plan(), "Offline performance")
    assert (run.state, run.why, run.result) == (State.INVALID, ("too short",), None)
    assert run.unfit is not None
    finish(run, maker)
    assert named(maker.plan(), "Offline performance").finished


def test_a_valid_result_counts_also_if_a_later_one_does_not(resnet: Campaign) -> None:
    maker = plans(resnet)
    good = finish(named(maker.plan(), "Offline performance"), maker)
    finish(named(maker.plan(), "Offline performance"), maker, valid=False)
    assert named(maker.plan(), "Offline performance").result == good


def test_an_accuracy_under_its_target_counts_in_the_open_division_only(tmp_path: Path) -> None:
    for head, state in ((OPEN, State.FINISHED), (TINY, State.INVALID)):
        folder = tmp_path / head.split()[3]
        folder.mkdir()
        maker = plans(campaign(folder, "- model: resnet50", head))
        finish(named(maker.plan(), "Offline accuracy"), maker, valid=False)
        assert named(maker.plan(), "Offline accuracy").state is state


def test_a_test_that_is_not_passed_leaves_its_run_open(resnet: Campaign) -> None:
    finish_all(resnet)
    (folder,) = (
        Path(run.result.results_dir)
        for run in planned(resnet).runs
        if run.name.endswith("Offline TEST04") and run.result
    )
    path = folder / store.RESULT_FILE
    fields = json.loads(path.read_text())
    fields["compliance"]["passed"] = False
    path.write_text(json.dumps(fields))
    assert states(resnet)["Offline TEST04"] is State.INVALID


def test_a_new_performance_run_makes_its_tests_stale(resnet: Campaign) -> None:
    finish_all(resnet)
    maker = plans(resnet)
    finish(named(maker.plan(), "Offline performance"), maker)
    found = states(resnet)
    assert {name for name, state in found.items() if state is State.STALE} == {"Offline TEST01", "Offline TEST04"}


def test_an_attempt_without_a_result_has_failed_with_the_harness_own_words(resnet: Campaign) -> None:
    run = named(planned(resnet), "Offline performance")
    folder = attempt(run, '{"event": "error", "exit_code": 6, "message": "no such data"}\n')
    found = named(planned(resnet), "Offline performance")
    assert (found.state, found.why) == (State.FAILED, ("no such data", f"see {folder}"))
    finish(found, plans(resnet))
    assert named(planned(resnet), "Offline performance").finished
    attempt(named(planned(resnet), "Offline accuracy"))
    assert named(planned(resnet), "Offline accuracy").why[0] == "it was interrupted"


def test_a_run_that_goes_on_is_told_from_one_that_failed(resnet: Campaign) -> None:
    attempt(named(planned(resnet), "Offline performance"))
    with exclusive.file(resnet.results / f".lock-{node.name()}"):
        assert states(resnet)["Offline performance"] is State.RUNNING
        attempt(named(planned(resnet), "Offline accuracy"))
        found = states(resnet)
        assert (found["Offline performance"], found["Offline accuracy"]) == (State.FAILED, State.RUNNING)
    assert states(resnet)["Offline performance"] is State.FAILED


def test_a_run_that_a_campaign_is_at_is_running_whatever_came_after_it(resnet: Campaign) -> None:
    run = named(planned(resnet), "Offline performance")
    attempt(run)
    attempt(named(planned(resnet), "Offline accuracy"))
    with turns.of_run(resnet.results, run.name):
        found = states(resnet)
    assert (found["Offline performance"], found["Offline accuracy"]) == (State.RUNNING, State.FAILED)


def test_a_plan_of_some_runs_has_these_alone(resnet: Campaign) -> None:
    plan = planned(resnet)
    name = named(plan, "Offline accuracy").name
    assert [run.name for run in plan.only([name, name]).runs] == [name]
    assert plan.only([]) == plan.only(None) == plan
    later = named(plan, "Offline TEST01").name
    assert [run.name for run in plan.only([later, name]).runs] == [name, later], "a run comes after those that it needs"
    with pytest.raises(UsageError, match=f"Did you mean {name}"):
        plan.only([name.lower()])


def test_a_missing_results_folder_is_an_empty_one(resnet: Campaign) -> None:
    assert not resnet.results.exists()
    assert set(states(resnet).values()) == {State.MISSING, State.WAITING}
    assert not resnet.results.exists()


def test_a_damaged_result_is_none(resnet: Campaign) -> None:
    finish_all(resnet)
    run = named(planned(resnet), "Offline accuracy")
    assert run.result is not None
    (Path(run.result.results_dir) / store.RESULT_FILE).write_text("{")
    assert not named(planned(resnet), "Offline accuracy").finished


def test_inputs_that_are_missing_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        planned(campaign(tmp_path, "- model: resnet50\n- model: bert"))
    told = str(caught.value)
    assert "ImageNet" in told
    assert "SQuAD" in told
    assert "data fetch" in told


def f1(value: float) -> dict[str, Any]:
    score = {
        "metric": "F1", "value": value, "unit": "%", "sense": "at least", "target": 89.96526, "passed": True,
        "reference": 90.874, "high_target": 90.783126, "high": value >= 90.783126,
    }  # fmt: skip
    return {**score, "scores": [score]}


def test_one_set_of_runs_fills_the_benchmarks_whose_target_it_reaches(tmp_path: Path) -> None:
    bert = campaign(tmp_path, "- model: bert", TINY)
    maker = plans(bert)
    assert [slot.benchmark for slot in maker.plan().runs[0].slots] == ["bert-99", "bert-99.9"]
    finish(named(maker.plan(), "Offline accuracy"), maker, accuracy=f1(90.1))
    plan = maker.plan()
    for kind in ("accuracy", "performance", "TEST01"):
        assert [slot.benchmark for slot in named(plan, f"Offline {kind}").slots] == ["bert-99"]
        assert len(named(plan, f"SingleStream {kind}").slots) == 2
    (note,) = plan.notes
    assert note.startswith("bert-99.9 Offline of bert:onnxruntime-cpu fp32: F1 is 90.1, under the target 90.783")
    finish(named(plan, "SingleStream accuracy"), maker, accuracy=f1(90.8))
    assert len(named(maker.plan(), "SingleStream performance").slots) == 2


def test_benchmarks_whose_targets_are_all_missed_stay_with_a_note(tmp_path: Path) -> None:
    maker = plans(campaign(tmp_path, "- model: bert", TINY))
    finish(named(maker.plan(), "Offline accuracy"), maker, accuracy=f1(80))
    plan = maker.plan()
    assert len(named(plan, "Offline performance").slots) == 2
    assert len(plan.notes) == 2


def test_an_image_on_another_base_is_stale_and_one_that_was_removed_is_not(
    resnet: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_all(resnet)  # on an image whose tag ends with -abc

    def here(tag: str, is_here: bool) -> State:
        monkeypatch.setattr(inputs, "likely_images", lambda found, _: [(tag, is_here) for _ in found])
        return states(resnet)["Offline performance"]

    assert here("r/resnet50:onnxruntime-cpu-abc", True) is State.FINISHED
    assert here("r/resnet50:onnxruntime-cpu-def", False) is State.FINISHED
    assert here("r/resnet50:onnxruntime-cpu-def", True) is State.STALE


def test_the_image_of_a_bundle_decides_on_every_host_whatever_is_built_there(
    resnet: Campaign, resnet50: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "likely_images", lambda found, _: [("r/cell:x-built-here", True) for _ in found])
    bundle(tmp_path / "bundle", recipe_of(resnet50), [packed({"a": b""})], tmp_path / "blobs")
    (cell,) = manifests.read(tmp_path / "bundle").cells
    with_bundle = dataclasses.replace(resnet, bundle=tmp_path / "bundle")
    maker = plans(with_bundle)
    while open_ := maker.plan().open:
        tag = f"r/resnet50:onnxruntime-cpu-{cell.hash}"
        finish(open_[0], maker, image={"tag": tag, "id": cell.id, "base": "base:1 (local)"})
    assert plans(with_bundle).plan().complete
    assert not plans(resnet).plan().complete, "as of an image that was built here"


def test_a_bundle_without_a_campaigns_image_is_told_before_anything_runs(
    resnet: Campaign, resnet50: ImageSpec, tmp_path: Path
) -> None:
    bundle(tmp_path / "bundle", recipe_of(resnet50), [packed({"a": b""})], tmp_path / "blobs")
    other = campaign(tmp_path, "- model: bert", TINY + "bundle: bundle\n")
    with pytest.raises(UsageError, match="Inputs of the campaign are missing") as caught:
        plans(other)
    assert "bert:onnxruntime-cpu is not in it. Write it again with this version: mlperf-docker bundle bert" in str(
        caught.value
    )
