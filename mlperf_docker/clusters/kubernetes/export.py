"""Export of a campaign as files for kubectl."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.clusters.kubernetes import jobs, kept, submission
from mlperf_docker.clusters.kubernetes.submission import RenderedJob
from mlperf_docker.display.progress import Display
from mlperf_docker.system import atomic, folders

_POLICY_FILE = "network-policy.yaml"


@dataclass(frozen=True)
class Exported:
    """Files that were written."""

    files: tuple[Path, ...]
    jobs: tuple[RenderedJob, ...]
    later: tuple[PlannedRun, ...]
    """Runs that need results which are not there yet."""


def export(plan: CampaignPlan, output: Path, display: Display) -> Exported:
    """Write the open runs of *plan* that need nothing more as Jobs to *output*, and make the folders they write to.

    Raises what is wrong with a request, before anything is written.
    """
    runs = submission.ready(plan)
    rendered = submission.render(plan, runs, display)
    folders.make(output, "with --output DIR")
    files = [_written(output / _POLICY_FILE, jobs.policy(plan.campaign.kubernetes))] if rendered else []
    for each in rendered:
        kept.make(plan.campaign.results, each.manifest, len(each.runs))
        files.append(_written(output / f"{each.name}.yaml", each.manifest))
    ready = {run.name for run in runs}
    return Exported(tuple(files), tuple(rendered), tuple(run for run in plan.open if run.name not in ready))


def _written(path: Path, manifest: dict[str, Any]) -> Path:
    atomic.write_text(path, yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120))
    return path


def told(exported: Exported, output: Path) -> Sequence[str]:
    """Return what there is to say of an export: how to go on."""
    if not exported.jobs:
        return ("No run is ready: see mlperf-docker campaign plan.",)
    runs = sum(len(each.runs) for each in exported.jobs)
    lines = [f"{runs} runs in {len(exported.jobs)} Jobs. Submit them: kubectl apply -f {output}"]
    if exported.later:
        lines.append(f"{len(exported.later)} runs need results of others: export again when these are completed.")
    return (*lines, "Complete what has ended: mlperf-docker campaign status")
