"""Batches of a plan: waves by what runs need, arrays by what they ask for."""

from pathlib import Path

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.clusters.batches import RunBatch, batches
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import finish, finish_all, named, planned, plans

TINY = f"{HEAD}options: {{synthetic: tiny, min_duration: 1}}\n"
TWO = "- {model: resnet50, scenarios: [Offline]}\n- {model: bert, scenarios: [Offline]}"


def alike(_: PlannedRun) -> str:
    return "alike"


def by_model(run: PlannedRun) -> str:
    return run.cell.spec.model.name


def kinds(of: CampaignPlan, *without: str) -> list[tuple[int, list[str]]]:
    """Wave and runs, by model and kind, of each batch."""
    found = batches(of, alike, without={run.name for run in of.runs if run.name.endswith(without)})
    return [(batch.wave, [f"{by_model(run)} {run.kind}" for run in batch.runs]) for batch in found]


def test_tests_are_a_wave_after_the_runs_that_they_are_held_to(tmp_path: Path) -> None:
    first, second = batches(planned(campaign(tmp_path, TWO, TINY)), alike)
    assert [run.kind for run in first.runs] == ["accuracy", "performance"] * 2
    assert {run.kind for run in second.runs} == {"TEST01", "TEST04"}
    assert (first.needs, second.needs) == (frozenset(), frozenset(first.names))


def test_runs_that_ask_for_other_resources_are_another_batch(tmp_path: Path) -> None:
    found = batches(planned(campaign(tmp_path, TWO, TINY)), by_model)
    assert [(each.wave, {by_model(run) for run in each.runs}) for each in found] == [
        (0, {"resnet50"}),
        (0, {"bert"}),
        (1, {"resnet50"}),
        (1, {"bert"}),
    ]


def test_finished_runs_are_in_no_batch_and_nothing_waits_for_them(tmp_path: Path) -> None:
    maker = plans(campaign(tmp_path, "- {model: resnet50, scenarios: [Offline]}", TINY))
    for kind in ("accuracy", "performance"):
        finish(named(maker.plan(), f"Offline {kind}"), maker)
    assert kinds(maker.plan()) == [(0, ["resnet50 TEST01", "resnet50 TEST04"])]
    finish_all(maker.campaign)
    assert kinds(maker.plan()) == []


def test_runs_that_a_queue_has_already_are_left_out_and_still_needed(tmp_path: Path) -> None:
    plan = planned(campaign(tmp_path, "- {model: resnet50, scenarios: [Offline]}", TINY))
    assert kinds(plan, "performance") == [
        (0, ["resnet50 accuracy", "resnet50 TEST04"]),
        (1, ["resnet50 TEST01"]),
    ]
    (late,) = (each for each in batches(plan, alike, without={plan.runs[0].name}) if each.wave)
    assert plan.runs[0].name in RunBatch(0, late.runs).needs
