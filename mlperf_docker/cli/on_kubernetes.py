"""`campaign run --on kubernetes`, `campaign export`, and what other commands of a campaign tell of its pods."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mlperf_docker.errors import MlperfDockerError

if TYPE_CHECKING:
    from mlperf_docker.campaigns.campaign import Campaign
    from mlperf_docker.campaigns.execution import Outcome
    from mlperf_docker.campaigns.plan import CampaignPlan, Planner
    from mlperf_docker.display.progress import Display


def run(planner: "Planner", show: "Display", only: Collection[str] | None, *, go_on: bool) -> "Outcome":
    """Do the runs that are not finished as Jobs, and complete those of an earlier command."""
    from mlperf_docker.clusters.kubernetes import watching
    from mlperf_docker.clusters.kubernetes.cluster import Cluster

    campaign = planner.campaign
    cluster = Cluster(campaign.kubernetes)
    with watching.alone(campaign.results, show.say):
        return watching.Watcher(planner.plan, cluster, show, go_on, only).run()


def seen(planner: "Planner", show: "Display") -> "CampaignPlan":
    """Return the plan with its runs that a cluster has, as far as it answers; those that have ended are completed."""
    from mlperf_docker.clusters.kubernetes import kept

    plan = planner.plan()
    if not kept.any_of(plan.campaign.results):
        return plan
    try:
        return _seen(planner, plan, show)
    except MlperfDockerError as error:
        show.say(f"What the cluster has of this campaign is not known: {error}")
        return plan


def _seen(planner: "Planner", plan: "CampaignPlan", show: "Display") -> "CampaignPlan":
    from mlperf_docker.clusters.joining import joined
    from mlperf_docker.clusters.kubernetes import watching
    from mlperf_docker.clusters.kubernetes.cluster import Cluster

    results, cluster = plan.campaign.results, Cluster(plan.campaign.kubernetes)
    found = watching.view(cluster, results)
    if found.ended and not watching.is_watched(results):
        with watching.alone(results, show.say):
            watching.complete_ended(found, plan, cluster, show)
        plan = planner.plan()
    return joined(plan, found.live)


def cancel(campaign: "Campaign", show: "Display") -> int:
    """End the pods of *campaign* and return how many there were."""
    from mlperf_docker.clusters.kubernetes import kept

    return _cancel(campaign, show) if kept.any_of(campaign.results) else 0


def _cancel(campaign: "Campaign", show: "Display") -> int:
    from mlperf_docker.campaigns.plan import plan
    from mlperf_docker.catalog.loading import Catalog
    from mlperf_docker.clusters.kubernetes import watching
    from mlperf_docker.clusters.kubernetes.cluster import Cluster
    from mlperf_docker.images.sources import Sources

    cluster = Cluster(campaign.kubernetes)
    with watching.alone(campaign.results, show.say):
        return watching.cancel(plan(campaign, Sources(Catalog.load().registry), show), cluster, show)


def export(planner: "Planner", output: Path, show: "Display") -> tuple[Path, ...]:
    """Write the runs that are ready as Jobs to *output*, say how to go on, and return the files."""
    from mlperf_docker.clusters.kubernetes import export as exporting

    done = exporting.export(planner.plan(), output, show)
    for line in exporting.told(done, output):
        show.say(line)
    return done.files
