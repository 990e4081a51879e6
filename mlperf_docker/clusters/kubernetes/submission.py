"""Jobs of the runs of a plan: prepared, grouped where they are alike, and created in a cluster."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.clusters.batches import batches
from mlperf_docker.clusters.kubernetes import jobs, kept
from mlperf_docker.clusters.kubernetes.cluster import ApiRefusalError, Cluster
from mlperf_docker.clusters.kubernetes.collecting import record_digest
from mlperf_docker.clusters.kubernetes.jobs import PlannedJob, PodRun
from mlperf_docker.clusters.kubernetes.pod_images import PodImage, image_of
from mlperf_docker.contract import places
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import RunPlan
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.reference_layer import MODULE
from mlperf_docker.runs import session

NAME_PREFIX = "mlperf-"
"""Beginning of all Jobs' names."""
_LABEL_DIGITS, _NAME_DIGITS = 16, 8


@dataclass(frozen=True)
class RenderedJob:
    """Job as it is sent to the API."""

    manifest: dict[str, Any]
    runs: tuple[PlannedRun, ...]

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return str(self.manifest["metadata"]["name"])


def label(results: Path) -> str:
    """Return what the label of the Jobs of the campaign with *results* says."""
    return hashlib.sha256(str(results).encode()).hexdigest()[:_LABEL_DIGITS]


def ready(plan: CampaignPlan) -> tuple[PlannedRun, ...]:
    """Return the open runs of *plan* that need nothing that is not there."""
    finished = {run.name for run in plan.runs if run.finished}
    return tuple(run for run in plan.open if finished.issuperset(run.needs))


def render(plan: CampaignPlan, runs: Sequence[PlannedRun], display: Display) -> list[RenderedJob]:
    """Return *runs* of *plan*, which need nothing that is not there, as Jobs. Raises what is wrong with a request.

    Nothing is written.
    """
    settings, results = plan.campaign.kubernetes, plan.campaign.results
    found = {run.name: _Prepared.of(run, results, image, display) for run, image in _with_images(runs, display)}
    alike = batches(replace(plan, runs=tuple(runs)), lambda run: jobs.frame(found[run.name].plan))
    return [_rendered(batch.runs, found, results, settings) for batch in alike]


def create(rendered: Sequence[RenderedJob], cluster: Cluster, settings: KubernetesSettings, results: Path) -> None:
    """Make the folders of the Jobs, and have the cluster run them off the network."""
    if rendered:
        cluster.create_policy(jobs.policy(settings))
    for each in rendered:
        kept.make(results, each.manifest, len(each.runs))
        try:
            cluster.create_job(each.manifest)
        except (ApiRefusalError, UsageError):
            kept.drop_all(results, each.name, len(each.runs))
            raise


@dataclass(frozen=True)
class _Prepared:
    """Run with its container."""

    run: PodRun
    plan: RunPlan
    image: PodImage

    @classmethod
    def of(cls, run: PlannedRun, results: Path, image: PodImage, display: Display) -> "_Prepared":
        """Return *run* as a pod has it, but for its folder."""
        prepared = session.prepare(run.request, display)
        plan = prepared.job(results).plan(image.reference, surroundings({}))
        return cls(PodRun(run.name, plan.arguments, run.request.title, record_digest(prepared)), plan, image)


def _with_images(runs: Sequence[PlannedRun], display: Display) -> list[tuple[PlannedRun, PodImage]]:
    """Return each run with its image, which is looked up once for a cell."""
    requests = {str(run.cell): run.request for run in runs}
    images = {name: image_of(each.recipe, each.sources, display) for name, each in requests.items()}
    return [(run, images[str(run.cell)]) for run in runs]


def _rendered(
    runs: tuple[PlannedRun, ...],
    found: dict[str, _Prepared],
    results: Path,
    settings: KubernetesSettings,
) -> RenderedJob:
    own = [found[run.name] for run in runs]
    spec = runs[0].cell.spec
    name = f"{NAME_PREFIX}{spec.model.name}-{spec.variant}-{uuid.uuid4().hex[:_NAME_DIGITS]}"
    folder = kept.folder_of(results, name) if len(runs) > 1 else kept.run_folder(results, name, 0)
    mounts = (replace(each, host=folder) if each.container == places.RESULTS else each for each in own[0].plan.mounts)
    job = PlannedJob(
        name=name,
        campaign=label(results),
        runs=tuple(each.run for each in own),
        plan=replace(own[0].plan, mounts=tuple(mounts)),
        image=own[0].image.used,
        pull=runs[0].request.sources.pull,
        module=MODULE if runs[0].cell.is_reference else LAYOUT.module,
    )
    return RenderedJob(jobs.manifest(job, settings), runs)
