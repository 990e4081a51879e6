"""A new campaign.yaml: one that loads, with comments for who edits it."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.campaigns.campaign import load
from mlperf_docker.campaigns.entries import EntryPart
from mlperf_docker.campaigns.frame import Frame
from mlperf_docker.campaigns.writing import NewCampaign, write
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.rounds import loading as rounds
from mlperf_docker.rounds.words import Division, Suite
from tests.fixtures.reference_checkout import made

CATALOG = Catalog.load()


def taken() -> Iterator[tuple[str, str, Division, Suite]]:
    """Every round, model, division and suite that go together."""
    frames = (Frame(each, division, suite) for each in rounds.load().all for division in Division for suite in Suite)
    for frame, model in itertools.product(frames, CATALOG.models):
        if any(map(frame.takes, frame.round.benchmarks_of(model.name))):
            yield frame.round.name, model.name, frame.division, frame.suite


def new(name: str, *models: str, division: str = "closed", suite: str = "edge", **changes: Any) -> NewCampaign:
    frame = Frame(rounds.load().find(name), Division(division), Suite(suite))
    return NewCampaign(frame, [find(CATALOG, model) for model in models], **changes)


@pytest.mark.parametrize(("name", "model", "division", "suite"), list(taken()))
def test_every_model_of_a_round_has_a_campaign_that_loads(
    name: str, model: str, division: Division, suite: Suite, tmp_path: Path
) -> None:
    found = load(write(new(name, model, division=division, suite=suite), tmp_path / "campaign.yaml", force=False))
    assert (found.round.name, found.division, found.suite) == (name, division, suite)
    assert [cell.spec.model.name for cell in found.cells] == [model]
    assert all(scenario.benchmarks for cell in found.cells for scenario in cell.scenarios)


def test_a_new_campaign_of_references_names_the_checkout_and_no_compliance_tests(tmp_path: Path) -> None:
    checkout = made(tmp_path / "inference")
    told = new("v6.1", "resnet50", "bert", division="open", harness=HarnessName.REFERENCE, reference=checkout)
    text = write(told, tmp_path / "campaign.yaml", force=False).read_text()
    assert "\nreference: inference  #" in text
    cells = load(tmp_path / "campaign.yaml").cells
    assert {(cell.harness, cell.reference) for cell in cells} == {(HarnessName.REFERENCE, checkout)}
    assert EntryPart.COMPLIANCE not in {part for cell in cells for part in cell.parts}
    assert "profile" not in text


def test_a_new_campaign_of_references_that_cannot_run_is_refused(tmp_path: Path) -> None:
    told = new("v5.1", "resnet50", harness=HarnessName.REFERENCE, reference=tmp_path / "nowhere")
    spec = find(CATALOG, "retinanet", "tensorflow")
    with pytest.raises(UsageError, match=r"cannot run on tensorflow and cpu: .*\nThere is no folder .*nowhere"):
        write(replace(told, specs=[*told.specs, spec]), tmp_path / "campaign.yaml", force=False)


def test_a_new_campaign_says_what_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text("{}")
    options = {"synthetic": "tiny", "min_duration": 1, "cpuset": "0-1"}
    told = new("v6.1", "resnet50", "bert", submitter="A: B", system=tmp_path / "system.yaml", options=options)
    found = load(write(told, tmp_path / "campaign.yaml", force=False))
    assert (found.submitter, found.system) == ("A: B", tmp_path / "system.yaml")
    assert "system: system.yaml\n" in (tmp_path / "campaign.yaml").read_text()
    assert {each.limits.cpuset for cell in found.cells for each in cell.scenarios} == {"0-1"}
    assert {each.options.min_duration_s for cell in found.cells for each in cell.scenarios} == {1.0}


def test_a_campaign_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already") as caught:
        write(new("v6.1", "resnet50"), path, force=False)
    assert ("--force" in (caught.value.hint or ""), path.read_text()) == (True, "mine")
    write(new("v6.1", "resnet50"), path, force=True)
    assert load(path).cells


def test_models_and_options_that_cannot_be_are_told_together(tmp_path: Path) -> None:
    told = new("v6.1", "rnnt", "resnet50", suite=Suite.DATACENTER, options={"min_duration": "long", "colour": "red"})
    with pytest.raises(UsageError) as caught:
        write(told, tmp_path / "campaign.yaml", force=False)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["min_duration:", "colour:", "Round", "v6.1"]
    assert not (tmp_path / "campaign.yaml").exists()
