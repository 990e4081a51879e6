"""Export of a campaign as files for kubectl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.clusters.kubernetes import jobs, kept, submission
from mlperf_docker.clusters.kubernetes.submission import RenderedJob
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import UsageError
from mlperf_docker.system import atomic, folders

_SUFFIX, _WIDTH = ".yaml", 100_000
_POLICY_FILE = "network-policy.yaml"


@dataclass(frozen=True)
class Exported:
    """Files that were written."""

    files: tuple[Path, ...]
    jobs: tuple[RenderedJob, ...]
    later: tuple[PlannedRun, ...]
    """Runs that need results which are not there yet."""
    earlier: tuple[str, ...]
    """Names of Jobs that some of these runs were in before, and that are not completed."""


def export(plan: CampaignPlan, output: Path, display: Display) -> Exported:
    """Write the open runs of *plan* that need nothing more as Jobs to *output*, and make the folders they write to.

    Raises what is wrong with a request, before anything is written; and UsageError where *output* has Jobs already,
    which kubectl would submit again.
    """
    if any(output.glob(f"{submission.NAME_PREFIX}*{_SUFFIX}")):
        raise UsageError(f"{output} has Jobs of an earlier export.", hint="Name another folder: --output DIR")
    runs = submission.ready(plan)
    rendered, names = submission.render(plan, runs, display), {run.name for run in runs}
    earlier = [job.name for job in kept.jobs(plan.campaign.results) if names & {each.name for each in job.runs}]
    folders.make(output, "with --output DIR")
    files = [_written(output / _POLICY_FILE, jobs.policy(plan.campaign.kubernetes))] if rendered else []
    for each in rendered:
        kept.make(plan.campaign.results, each.manifest, len(each.runs))
        files.append(_written(output / f"{each.name}{_SUFFIX}", each.manifest))
    later = tuple(run for run in plan.open if run.name not in names)
    return Exported(tuple(files), tuple(rendered), later, tuple(earlier))


def _written(path: Path, manifest: dict[str, Any]) -> Path:
    plain = json.loads(json.dumps(manifest))  # in which nothing is the same object twice, as YAML would tell
    atomic.write_text(path, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=_WIDTH))
    return path


def told(exported: Exported, output: Path) -> Sequence[str]:
    """Return what there is to say of an export: how to go on."""
    if not exported.jobs:
        return ("No run is ready: see mlperf-docker campaign plan.",)
    runs = sum(len(each.runs) for each in exported.jobs)
    count = len(exported.jobs)
    lines = [f"{runs} runs in {count} {'Job' if count == 1 else 'Jobs'}. Submit: kubectl apply -f {output}"]
    if exported.earlier:
        lines.append(f"Warning: some are in Jobs of before that are not completed: {', '.join(exported.earlier)}.")
    if exported.later:
        lines.append(f"{len(exported.later)} runs need results of others: export again when these are completed.")
    return (*lines, "Complete what has ended: mlperf-docker campaign status")
