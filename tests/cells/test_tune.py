"""Tuning in real containers: a profile that a run takes, and a kill that loses no finished trial."""

import json
import signal
from pathlib import Path

import pytest

from tests.cells.tool import PERFORMED, Tool, wait_for

pytestmark = pytest.mark.engine
TUNE = ("tune", "resnet50", "--synthetic", "tiny", "--min-duration", "0.5", "--trial-duration", "0.5")


def finished(results: Path) -> list[Path]:
    return sorted(results.glob("*/*/result.json"))


def test_a_tuning_leaves_a_profile_and_a_run_names_it(tool: Tool, image: str, results: Path, tmp_path: Path) -> None:
    """Where the user leaves nothing to search, one trial tells the figure."""
    fixed = ("--batch-size", "2", "--instances", "1", "--threads-per-instance", "1")
    profile = tmp_path / "one.json"
    tuned = tool.json(*TUNE, *fixed, "--results", str(results), "--to", str(profile))
    assert (tuned["found"], tuned["gain"], len(tuned["trials"])) == (True, 1.0, 1)
    assert tuned["profile"]["options"] == {"batch_size": 2, "instances": 1, "threads_per_instance": 1}
    run = ("run", "resnet50", "--synthetic", "tiny", "--min-duration", "0.5", "--results", str(results))
    result = tool.json(*run, "--batch-size", "4", "--profile", str(profile), expect=PERFORMED)
    settings = result["settings"]
    assert (settings["batch_size"], settings["threads"], settings["instances"]) == (4, 1, 1)
    assert result["request"]["profile"] == tuned["profile"]
    refused = tool("run", "bert", "--profile", str(profile), "--synthetic", "tiny", expect=2).stderr
    assert "for resnet50:onnxruntime-cpu, not bert:onnxruntime-cpu" in refused


def test_a_killed_tuning_goes_on_with_the_trial_that_it_lost(tool: Tool, image: str, results: Path) -> None:
    options = (*TUNE, "--scenario", "Offline", "--results", str(results))
    process = tool.start(*options)
    wait_for(lambda: len(finished(results)) == 1 and len(list(results.glob("*/*/harness.log"))) == 2, seconds=120)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = finished(results)
    more = tool.json(*options, "--trials", "1", expect=1)
    assert more["stopped"] == "1 trials were made"
    assert [each["trial"]["purpose"] == "default" for each in more["trials"]] == [True, False]
    assert finished(results)[: len(before)] == before
    shown = json.loads(tool(*options, "--show", "--json", expect=1).stdout)
    assert shown["trials"] == more["trials"]
