"""Cells whose runs are the reference implementation's: read, planned, and held to the checkout."""

import shutil
from pathlib import Path

import pytest

from mlperf_docker.campaigns.campaign import Campaign
from mlperf_docker.campaigns.entries import EntryPart
from mlperf_docker.campaigns.matrix import matrix
from mlperf_docker.campaigns.plan import CampaignPlan, State
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe.reference_layer import MODULE
from tests.campaigns.files import HEAD, campaign, problems
from tests.campaigns.finishing import finish, finish_all, named, planned, plans
from tests.fixtures.reference_checkout import MAIN, commit, made

OPEN = HEAD.replace("closed", "open") + "options: {synthetic: tiny, min_duration: 1}\nreference: inference\n"
CELL = "- {model: resnet50, harness: reference, scenarios: [Offline]}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return made(tmp_path / "inference")


@pytest.fixture
def found(checkout: Path, tmp_path: Path) -> Campaign:
    return campaign(tmp_path, CELL, OPEN)


def states(plan: CampaignPlan) -> list[State]:
    return [run.state for run in plan.runs]


def test_a_cell_of_the_reference_has_the_files_checkout_and_no_compliance_tests(
    found: Campaign, checkout: Path
) -> None:
    (cell,) = found.cells
    assert (cell.harness, cell.reference) == (HarnessName.REFERENCE, checkout)
    assert cell.parts == (EntryPart.ACCURACY, EntryPart.PERFORMANCE)
    plan = planned(found)
    assert [run.name for run in plan.runs] == [
        "resnet50:onnxruntime-cpu fp32 reference Offline accuracy",
        "resnet50:onnxruntime-cpu fp32 reference Offline performance",
    ]
    for run in plan.runs:
        assert run.request.checkout
        assert run.request.checkout.folder == checkout
        assert MODULE in run.request.recipe.inputs.dockerfile


def test_a_cells_own_checkout_goes_before_the_files(tmp_path: Path, checkout: Path) -> None:
    shutil.copytree(checkout, tmp_path / "older")
    (cell,) = campaign(tmp_path, CELL.replace("reference,", "reference, reference: older,"), OPEN).cells
    assert cell.reference == tmp_path / "older"


def test_the_environment_names_a_checkout_where_the_file_does_not(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = campaign(tmp_path, CELL, OPEN.replace("reference: inference\n", ""))
    monkeypatch.delenv("MLPERF_INFERENCE", raising=False)
    with pytest.raises(UsageError, match=r"No checkout of mlcommons/inference is named.*`reference: DIR`"):
        planned(without)
    monkeypatch.setenv("MLPERF_INFERENCE", str(checkout))
    request = planned(without).runs[0].request
    assert request.checkout
    assert request.checkout.folder == checkout


def test_all_that_a_cell_of_the_reference_cannot_have_is_told_at_once(tmp_path: Path, checkout: Path) -> None:
    told = problems(
        tmp_path,
        """
        - {model: resnet50, harness: reference, modes: [accuracy, performance, compliance], options: {instances: 2}}
        - {model: retinanet, backend: tensorflow, harness: reference}
        - {model: bert, reference: inference}
        - {model: 3d-unet, harness: reference, reference: nowhere}
        """,
        OPEN.replace("v6.1", "v5.1"),
    )
    text = "\n".join(message for _, message in told)
    for part in (
        "cells[0].modes: no reference implementation has compliance tests",
        "cells[0].options: --instances is for our own harness",
        "cells[1].harness: The reference of retinanet cannot run on tensorflow",
        "cells[2].reference: a checkout is for `harness: reference`",
        "cells[3].reference: there is no folder",
    ):
        assert part in text, text


def test_a_checkout_that_lacks_the_benchmark_is_a_missing_input(found: Campaign, checkout: Path) -> None:
    (checkout / MAIN).unlink()
    with pytest.raises(UsageError, match=r"Inputs of the campaign are missing:\n.*does not have the benchmark"):
        planned(found)


def test_finished_runs_count_until_the_checkout_is_another(found: Campaign, checkout: Path) -> None:
    finish_all(found)
    assert states(planned(found)) == [State.FINISHED] * 2
    (checkout / "loadgen" / "loadgen.h").write_text("newer")
    newer = commit(checkout)
    stale = planned(found)
    assert states(stale) == [State.STALE] * 2
    assert any(f"the reference's commit is {newer[:12]} now, and was" in why for why in stale.runs[0].why)


def test_local_changes_are_part_of_what_was_measured(found: Campaign, checkout: Path) -> None:
    finish_all(found)
    script = (checkout / MAIN).read_text()
    (checkout / MAIN).write_text(f"{script}# another line\n")
    stale = planned(found)
    assert states(stale) == [State.STALE] * 2
    assert any("local changes are" in why and "and were none" in why for why in stale.runs[0].why)
    finish_all(found)
    assert states(planned(found)) == [State.FINISHED] * 2, "the same changes"
    (checkout / MAIN).write_text(f"{script}# yet another line\n")
    assert states(planned(found)) == [State.STALE] * 2


def test_a_run_of_our_own_harness_is_none_of_the_references(found: Campaign, tmp_path: Path) -> None:
    own = campaign(tmp_path, CELL.replace("harness: reference, ", "modes: [accuracy, performance], "), OPEN)
    finish_all(own)
    assert states(planned(found)) == [State.MISSING] * 2
    finish(planned(found).runs[0], plans(found))
    assert states(planned(own)) == [State.FINISHED] * 2


def test_a_closed_campaign_says_that_the_reference_has_no_compliance_tests(tmp_path: Path, checkout: Path) -> None:
    plan = planned(campaign(tmp_path, CELL, OPEN.replace("open", "closed")))
    assert {run.kind for run in plan.runs} == {"accuracy", "performance"}
    (note,) = plan.notes
    assert "no reference implementation has compliance tests (TEST0" in note
    assert "set `division: open`" in note


def test_both_harnesses_may_enter_other_scenarios_and_no_place_twice(tmp_path: Path, checkout: Path) -> None:
    own = "- {model: resnet50, scenarios: [SingleStream]}"
    plan = planned(campaign(tmp_path, f"{CELL}\n{own}", OPEN))
    assert [run.request.harness_name for run in plan.runs] == ["reference", "reference", "own", "own"]
    assert named(plan, "fp32 SingleStream accuracy").request.checkout is None
    (told,) = problems(tmp_path, f"{CELL}\n{own.replace('SingleStream', 'Offline')}", OPEN)
    assert "resnet Offline already" in told[1]


def test_the_matrix_of_a_report_names_the_harness_of_a_row(found: Campaign) -> None:
    assert [row.name for row in matrix(planned(found)).rows] == ["resnet Offline (reference)"]
