"""`campaign run --on slurm` and what the other commands of a campaign tell of its jobs."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlperf_docker.cli.sources import GivenSources
from mlperf_docker.errors import UsageError
from mlperf_docker.system import paths

if TYPE_CHECKING:
    from mlperf_docker.campaigns.plan import CampaignPlan, Planner
    from mlperf_docker.campaigns.slurm import SlurmSettings
    from mlperf_docker.display.progress import Display

_TOOL = "mlperf-docker"


def settings(words: list[str]) -> "SlurmSettings":
    """Return what `--sbatch NAME=VALUE` gives. Raises UsageError for what is wrong, ClusterError without sbatch."""
    from mlperf_docker.campaigns import slurm
    from mlperf_docker.clusters.slurm import queue

    found, problems = slurm.of_words(words)
    if problems:
        told = "\n  ".join(f"--sbatch {name}: {message}" for name, message in problems)
        raise UsageError(f"sbatch cannot be given this:\n  {told}", hint="See the long options in: man sbatch")
    queue.require()
    return found


def submit(
    planner: "Planner",
    only: list[str],
    over: "SlurmSettings",
    sources: GivenSources,
    show: "Display",
    *,
    wait: bool,
) -> "CampaignPlan":
    """Submit the open runs that no job has, *only* those of these names if there are any, and return the plan."""
    from mlperf_docker.clusters.slurm import record, status, submission, waiting

    def seen() -> "CampaignPlan":
        return status.seen(planner.plan().only(only))

    line = submission.JobLine((*_checkout(planner), *_tool(), "campaign", "run"), tuple(sources.words()))
    with record.alone(planner.campaign.path, show.say):
        submitted = submission.submit(planner.plan().only(only), line, over, show.say)
    return waiting.wait(seen, show) if wait else submitted


def seen(plan: "CampaignPlan", show: "Display") -> "CampaignPlan":
    """Return *plan* with the jobs of its open runs, as far as the queue answers."""
    from mlperf_docker.clusters.slurm import status

    return status.seen_if_it_answers(plan, show.say)


def cancel(campaign: Path) -> int:
    """Cancel the jobs of *campaign* and return how many there were."""
    from mlperf_docker.clusters.slurm import submission

    return len(submission.cancel(campaign))


def _checkout(planner: "Planner") -> tuple[str, ...]:
    """Return what gives jobs the variable that names a checkout, where a cell has none of its own: queues may not."""
    from mlperf_docker.reference import checkout

    named = checkout.of_environment()
    if named is None or not any(cell.is_reference and cell.reference is None for cell in planner.campaign.cells):
        return ()
    return ("env", f"{checkout.VARIABLE}={paths.resolved(named)}")


def _tool() -> tuple[str, ...]:
    """Return this command as nodes know it: by its name where the PATH, which jobs inherit, has it, or its path."""
    own, found = Path(sys.argv[0]), shutil.which(_TOOL)
    if found is not None and (not own.exists() or own.samefile(found)):
        return (_TOOL,)
    return (str(own.absolute()),) if own.name == _TOOL else (sys.executable, "-m", "mlperf_docker.cli.entry")
