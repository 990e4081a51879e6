"""Join of a plan, which knows the results, with what a cluster tells of the jobs of its runs."""

from collections.abc import Iterable
from dataclasses import replace

from mlperf_docker.campaigns.cluster_jobs import ClusterJob, JobState
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun, State

_STATES = {JobState.QUEUED: State.QUEUED, JobState.RUNNING: State.RUNNING}


def joined(plan: CampaignPlan, jobs: Iterable[ClusterJob]) -> CampaignPlan:
    """Return *plan* with each run that is not finished as its newest job shows it. jobs: the newest last."""
    newest = {job.run: job for job in jobs}
    return replace(plan, runs=tuple(_with_job(run, newest.get(run.name)) for run in plan.runs))


def _with_job(run: PlannedRun, job: ClusterJob | None) -> PlannedRun:
    """Return *run* as *job* shows it: a live job has it now, an ended one tells why there is no result."""
    if job is None or run.finished:
        return run
    if job.is_live:
        return replace(run, state=_STATES[job.state], why=(str(job),), job=job)
    if job.why is None or run.state not in (State.MISSING, State.FAILED, State.RUNNING):
        return run
    reasons = tuple(each for each in run.why if run.state is State.FAILED)
    return replace(run, state=State.FAILED, why=(str(job), *reasons), job=job)
