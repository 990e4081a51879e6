"""Whole way from an empty results folder to a submission's tree, with real images, by one command."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.words import Scenario
from mlperf_docker.rounds import loading
from mlperf_docker.rounds.words import Division
from mlperf_docker.submission import layout
from mlperf_docker.submission.checks import checking
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.layout import Organisation
from tests.cells.tool import Tool
from tests.submission.planned import system_file

pytestmark = pytest.mark.engine
SHORT = {Fault.LOG_DURATION, Fault.LOG_SAMPLES, Fault.LOG_QUERY, Fault.ACCURACY_COVERAGE}
"""Faults of runs that are too short, on too few samples."""


def campaign(folder: Path, cells: str, division: Division, round: str = "v6.1", **options: Any) -> Path:  # noqa: A002
    """A campaign on synthetic data, with the description of its system beside it."""
    system_file(folder / "box.yaml", "edge")
    head = f"round: {round}\ndivision: {division}\nsuite: edge\nsubmitter: Acme\nsystem: box.yaml\n"
    path = folder / "campaign.yaml"
    given = json.dumps({"synthetic": "tiny", **options})
    path.write_text(f"{head}options: {given}\ncells:\n  - {cells}\n")
    return path


def test_one_command_goes_from_an_empty_results_folder_to_a_tree(tool: Tool, image: str, tmp_path: Path) -> None:
    path = campaign(tmp_path, "{model: resnet50, scenarios: [SingleStream]}", Division.OPEN, min_duration=2)
    words = ("submission", "create", str(path), "--to", str(tmp_path / "tree"), "--infer", "--allow-synthetic")
    lacking = tool(*words, expect=1).stderr
    assert lacking.count("the run is missing") == 2
    assert "mlperf-docker campaign run" in lacking
    assert not (tmp_path / "tree").exists()
    made = tool.json(*words, "--run")
    assert [each["scenario"] for each in made["entries"]] == ["SingleStream"]
    again = tool.json(*words, "--run", "--force")
    assert again["entries"] == made["entries"], "a finished run was repeated"
    organisation = Organisation(loading.load().find("v6.1").layout, Division.OPEN, "Acme")
    place = organisation.entry("box", "resnet", Scenario.SINGLE_STREAM)
    for folder in (place.performance, place.accuracy):
        assert (tmp_path / "tree" / folder / layout.DETAIL).is_file()
    of_image = tmp_path / "tree" / organisation.source / "resnet/box/image" / image.rpartition(":")[2]
    assert json.loads((of_image / "sbom.cdx.json").read_text())["bomFormat"] == "CycloneDX"
    assert "FROM " in (of_image / "Dockerfile").read_text()
    assert any("onnxruntime==" in each.read_text() for each in of_image.glob("requirements-*.txt"))
    verdict = checking.check(tmp_path / "tree", loading.load(), "v6.1", allow_synthetic=True)
    assert {each.fault for each in verdict.errors} <= SHORT
