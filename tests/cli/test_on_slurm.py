"""`campaign run --on` of whole commands, on a host without an engine: its jobs, its refusals, their exit codes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from tests.campaigns.files import HEAD, written
from tests.cli.test_cli import COMMAND, tool
from tests.fixtures.reference_checkout import made
from tests.fixtures.slurm import Slurm


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "a lab").mkdir()
    cells = "- {model: resnet50, scenarios: [Offline], modes: [accuracy, performance]}"
    return written(tmp_path / "a lab", cells, f"{HEAD}options: {{synthetic: tiny}}\n")


def listing(*arguments: str, SLURM_CONF: str) -> dict[str, Any]:  # noqa: N803  # a variable
    found: dict[str, Any] = json.loads(tool("campaign", *arguments, "--json", SLURM_CONF=SLURM_CONF).stdout)
    return found


def test_a_host_without_an_engine_submits_shows_and_cancels(campaign: Path, slurm: Slurm) -> None:
    run = ("run", str(campaign), "--on", "slurm", "--sbatch", "hold", "--registry", "lab.example/x")
    first = listing(*run, SLURM_CONF=str(slurm.configuration))
    assert [each["state"] for each in first["runs"]] == ["queued"] * 2
    jobs = [each["job"] for each in first["runs"]]
    shown = listing("status", str(campaign), SLURM_CONF=str(slurm.configuration))
    assert [(each["job"], each["why"]) for each in shown["runs"]] == [
        (job, [f"job {job}: JobHeldUser"]) for job in jobs
    ]
    assert shown["next"].startswith("mlperf-docker campaign status ")
    again = tool("campaign", *run, SLURM_CONF=str(slurm.configuration))
    assert "Nothing to submit" in again.stderr
    (script,) = campaign.parent.glob("slurm/*/1.sh")
    assert f"exec {COMMAND} campaign run '{campaign}' --registry lab.example/x --only " in script.read_text()
    assert (
        tool("campaign", "cancel", str(campaign), SLURM_CONF=str(slurm.configuration)).stdout == "2 jobs cancelled.\n"
    )
    assert (
        tool("campaign", "cancel", str(campaign), SLURM_CONF=str(slurm.configuration)).stdout == "0 jobs cancelled.\n"
    )
    ended = listing("status", str(campaign), SLURM_CONF=str(slurm.configuration))
    assert {each["why"][0].rpartition(": ")[2] for each in ended["runs"]} == {"CANCELLED"}
    assert ended["next"].endswith("--on slurm")


def test_jobs_know_the_checkout_that_the_environment_names(campaign: Path, slurm: Slurm, tmp_path: Path) -> None:
    checkout = made(tmp_path / "inference")
    cell = "- {model: resnet50, harness: reference, scenarios: [Offline]}"
    written(campaign.parent, cell, f"{HEAD}options: {{synthetic: tiny}}\n")
    run = ("campaign", "run", str(campaign), "--on", "slurm", "--sbatch", "hold")
    tool(*run, SLURM_CONF=str(slurm.configuration), MLPERF_INFERENCE=str(checkout))
    (script,) = campaign.parent.glob("slurm/*/1.sh")
    assert f"exec env MLPERF_INFERENCE={checkout} {COMMAND} campaign run " in script.read_text()
    tool("campaign", "cancel", str(campaign), SLURM_CONF=str(slurm.configuration))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--on", "slurn"), ExitCode.USAGE, "slurm"),
        (("--on", "slurm", "--stop"), ExitCode.USAGE, "--stop is for runs on this host"),
        (("--on", "slurm", "--sbatch", "array=3", "--sbatch", "P=x"), ExitCode.USAGE, "--sbatch P: not a long option"),
        (("--wait",), ExitCode.USAGE, "--wait is for jobs of a cluster"),
        (("--sbatch", "time=3"), ExitCode.USAGE, "--sbatch is for jobs of a cluster"),
        (("--on", "slurm"), ExitCode.ENGINE, "There is no sbatch in the PATH"),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_leaves_nothing(
    words: tuple[str, ...], code: ExitCode, told: str, campaign: Path
) -> None:
    done = tool("campaign", "run", str(campaign), *words, expect=code, PATH="/nowhere")
    assert told in done.stderr
    assert [path.name for path in campaign.parent.iterdir()] == [campaign.name]


def test_a_script_is_what_bash_takes(campaign: Path, slurm: Slurm) -> None:
    tool("campaign", "run", str(campaign), "--on", "slurm", "--sbatch", "hold", SLURM_CONF=str(slurm.configuration))
    (script,) = campaign.parent.glob("slurm/*/1.sh")
    assert subprocess.run(["bash", "-n", script], capture_output=True, timeout=60, check=True).stderr == b""
    tool("campaign", "cancel", str(campaign), SLURM_CONF=str(slurm.configuration))
