"""Scripts of arrays of jobs: as people read them, and as bash reads them."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.campaigns.slurm import SlurmSettings
from mlperf_docker.clusters.slurm.script import JobArray, log, render

RUNS = ("resnet50:onnxruntime-cpu fp32 Offline accuracy", 'it\'s "$HOME" `odd`')
ARRAY = JobArray(
    name="mlperf-lab",
    campaign=Path("/lab/campaign.yaml"),
    runs=RUNS,
    folder=Path("/shared/lab/slurm/now"),
    settings=SlurmSettings((("partition", "gpu"), ("comment", "two words"))),
    command=("mlperf-docker", "campaign", "run"),
    options=("--bundle", "/shared/my bundle"),
)
TEXT = """\
#!/bin/bash
#SBATCH --job-name=mlperf-lab
#SBATCH --output=/shared/lab/slurm/now/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --array=0-1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --partition=gpu
#SBATCH --comment='two words'

# A task makes one run. It skips one that is finished, so that a task may be begun again.
runs=(
  'resnet50:onnxruntime-cpu fp32 Offline accuracy'  # 0
  'it'"'"'s "$HOME" `odd`'  # 1
)

exec mlperf-docker campaign run /lab/campaign.yaml --bundle '/shared/my bundle' --only "${runs[$SLURM_ARRAY_TASK_ID]}"
"""


def test_a_script_is_readable() -> None:
    assert render(ARRAY) == TEXT


def test_an_array_waits_for_the_jobs_that_it_needs() -> None:
    assert "#SBATCH --dependency=afterany:12:15\n" in render(replace(ARRAY, after=("12", "15")))


@pytest.mark.parametrize("task", range(len(RUNS)))
def test_a_task_becomes_the_command_of_its_run(task: int, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/bash\nprintf "%s\\n" "$$" "$LOADED" "$@"\n')
    tool.chmod(0o755)
    settings = SlurmSettings(setup=("export LOADED=yes",))
    script = render(replace(ARRAY, command=(str(tool),), settings=settings))
    shell = subprocess.Popen(
        ["bash", "-c", script],
        env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task)},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = shell.communicate(timeout=60)[0].splitlines()
    assert said == [
        str(shell.pid),
        "yes",
        "/lab/campaign.yaml",
        "--bundle",
        "/shared/my bundle",
        "--only",
        RUNS[task],
    ]


def test_a_log_has_the_name_that_the_script_gives_it() -> None:
    assert log(ARRAY.folder, "12", 3) == Path("/shared/lab/slurm/now/12_3.log")


def test_a_percent_sign_of_a_folder_is_none_of_sbatch_words() -> None:
    assert "#SBATCH --output=/a%%A/%A_%a.log\n" in render(replace(ARRAY, folder=Path("/a%A")))
