"""Script of one array of jobs, as text: options of sbatch, the runs by the number of their task, the command."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.campaigns.slurm import SlurmSettings

LOG = "%A_%a.log"
"""Name of a task's log, in sbatch's own words: the array's number and the task's."""


@dataclass(frozen=True)
class JobArray:
    """Array of jobs, each of which makes one run of a campaign."""

    name: str
    """What queues show."""
    campaign: Path
    """The campaign.yaml, under a name that all nodes know."""
    runs: tuple[str, ...]
    """Names of the runs; a task's number is the place of its run."""
    folder: Path
    """Folder of the logs."""
    settings: SlurmSettings
    command: tuple[str, ...]
    """`mlperf-docker campaign run`, up to the campaign."""
    options: tuple[str, ...] = ()
    """Options of the command behind it."""
    after: tuple[str, ...] = ()
    """Jobs that have to end before."""


def render(array: JobArray) -> str:
    """Return the script."""
    return "\n".join((*_head(array), *_runs(array.runs), *array.settings.setup, _command(array), ""))


def log(folder: Path, job: str, task: int) -> Path:
    """Return the log of a *task* of the array *job*."""
    return folder / LOG.replace("%A", job).replace("%a", str(task))


def _head(array: JobArray) -> Iterator[str]:
    yield "#!/bin/bash"
    # A % in the folder's name would be one of sbatch's own words.
    output = f"{str(array.folder).replace('%', '%%')}/{LOG}"
    options = {"job-name": array.name, "output": output, "open-mode": "append", "array": f"0-{len(array.runs) - 1}"}
    if array.after:
        options["dependency"] = f"afterany:{':'.join(array.after)}"
    for name, value in {**options, **dict(array.settings.lines())}.items():
        yield f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={shlex.quote(str(value))}"


def _runs(names: Sequence[str]) -> Iterator[str]:
    yield ""
    yield "# A task makes one run. It skips one that is finished, so that a task may be begun again."
    yield "runs=("
    yield from (f"  {shlex.quote(name)}  # {task}" for task, name in enumerate(names))
    yield ")"
    yield ""


def _command(array: JobArray) -> str:
    """Return the last line: the shell becomes the command, so that signals reach it."""
    words = shlex.join((*array.command, str(array.campaign), *array.options))
    return f'exec {words} --only "${{runs[$SLURM_ARRAY_TASK_ID]}}"'
