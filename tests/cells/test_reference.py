"""Campaigns of the reference implementation in containers: a stand-in for its code, and the real one where it is."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.rounds import loading
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission.checks import checking
from mlperf_docker.submission.layout import Organisation
from tests.cells.test_submission import SHORT, campaign
from tests.cells.test_submission_as_upstream import create
from tests.cells.tool import PERFORMED, Tool, interrupt, wait_for
from tests.fixtures.reference_checkout import MAIN, git, made
from tests.rounds import upstream
from tests.submission import upstream_checkers
from tests.submission.test_creating_as_upstream import SHORT as SHORT_UPSTREAM

pytestmark = pytest.mark.engine
CELL = "{{model: resnet50, harness: reference, reference: {}, scenarios: [SingleStream, Offline]}}"


def runs(tool: Tool, path: Path) -> dict[str, dict[str, Any]]:
    """The runs of the campaign by scenario and kind."""
    told = json.loads(tool("campaign", "status", str(path), "--json").stdout)["runs"]
    return {f"{each['scenario']} {each['kind']}": each for each in told}


def finished(tool: Tool, path: Path) -> dict[str, str]:
    return {name: each["result"] for name, each in runs(tool, path).items() if each["state"] == "finished"}


def test_an_interrupted_campaign_of_the_reference_goes_on_to_a_tree(tool: Tool, image: str, tmp_path: Path) -> None:
    checkout = made(tmp_path / "inference")
    path = campaign(tmp_path, CELL.format("inference"), Division.OPEN, min_duration=2)
    run = ("campaign", "run", str(path), "--bootstrap-base")
    begun = tool.start(*run)
    wait_for(lambda: list((tmp_path / "results").glob("*/result.json")), seconds=240)
    interrupt(begun, signal.SIGKILL)
    before = finished(tool, path)
    assert before
    for _ in range(3):
        if len(finished(tool, path)) < 4:
            tool(*run, expect=PERFORMED)
    after = finished(tool, path)
    assert before.items() <= after.items(), "a finished run was made again"
    assert {*after} == {f"{s} {k}" for s in ("SingleStream", "Offline") for k in ("accuracy", "performance")}
    shown = tool("results", "show", after["Offline accuracy"], "--results", str(tmp_path / "results")).stdout
    assert f"reference, commit {git(checkout, 'rev-parse', 'HEAD')}" in shown
    _check_tree(tool, path, tmp_path, git(checkout, "rev-parse", "HEAD"))
    (checkout / MAIN).write_text(f"{(checkout / MAIN).read_text()}# changed\n")
    assert {each["state"] for each in runs(tool, path).values()} == {"stale"}


def _check_tree(tool: Tool, path: Path, folder: Path, commit: str) -> None:
    """Make a tree of the finished campaign, and look for what tells whose code ran."""
    tool("submission", "create", str(path), "--to", str(folder / "tree"), "--allow-synthetic")
    organisation = Organisation(loading.load().find("v6.1").layout, Division.OPEN, "Acme")
    source = folder / "tree" / organisation.source / "resnet" / "box"
    (of_image,) = (source / "image").iterdir()
    assert "-reference-" in of_image.name
    for name in ("Dockerfile", "Dockerfile.cell", "requirements-backend.txt", "requirements-reference.txt"):
        assert (of_image / name).stat().st_size
    assert f"commit {commit}" in (source / "repeat.sh").read_text()
    place = organisation.entry("box", "resnet", Scenario.OFFLINE)
    facts = json.loads((folder / "tree" / place.measurements_file).read_text())
    assert facts["implementation"].endswith(commit)
    verdict = checking.check(folder / "tree", loading.load(), "v6.1", allow_synthetic=True)
    assert {each.fault for each in verdict.errors} <= SHORT


@pytest.mark.parametrize("version", ["v6.1", "v5.1"])
def test_a_tree_of_the_real_reference_has_no_fault_but_duration_and_counts(
    version: str, tool: Tool, image: str, tmp_path: Path
) -> None:
    """Seeds of v5.1 are not those that LoadGen has built in."""
    path = campaign(tmp_path, CELL.format(upstream.checkout()), Division.OPEN, round=version, min_duration=2)
    create(tool, path, tmp_path / "tree")
    verdict = upstream_checkers.of_round(tmp_path / "tree", version)
    assert verdict.errors
    assert [each for each in verdict.errors if not SHORT_UPSTREAM.search(each)] == []
    system = json.loads((tmp_path / "tree/open/Acme/systems/box.json").read_text())
    assert "reference implementation of MLPerf Inference" in system["other_software_stack"]
