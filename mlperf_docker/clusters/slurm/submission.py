"""Submission of a campaign to Slurm: the runs that no job has yet, an array of jobs for those that are alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.campaigns.cluster_jobs import ClusterJob
from mlperf_docker.campaigns.plan import CampaignPlan, PlannedRun
from mlperf_docker.campaigns.slurm import SlurmSettings
from mlperf_docker.clusters.batches import RunBatch, batches
from mlperf_docker.clusters.joining import joined
from mlperf_docker.clusters.slurm import queue, record, script, status
from mlperf_docker.clusters.slurm.record import SubmittedArray
from mlperf_docker.clusters.slurm.script import JobArray
from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.system import atomic, signals

_NAME = "mlperf"


@dataclass(frozen=True)
class JobLine:
    """Command of the jobs: `mlperf-docker campaign run`, and the options behind the campaign's path."""

    command: tuple[str, ...]
    options: tuple[str, ...] = ()


def submit(plan: CampaignPlan, line: JobLine, over: SlurmSettings, say: Callable[[str], None]) -> CampaignPlan:
    """Submit the open runs of *plan* that no job has, and return the plan with the jobs.

    over: settings that go before those of campaign.yaml. Raises UsageError where sbatch refuses an array: those before
    it stay submitted. Raises ClusterError where Slurm does not answer.
    """
    path = str(plan.campaign.path)
    if printable.one_line(path) != path:
        raise UsageError(f"Slurm takes no control characters in the name of a file: {path}")
    if queue.can_tell():
        seen = status.seen(plan)
    else:
        seen = plan
        say("There is no squeue in the PATH: a run that has a job may get a second one, which skips what is finished.")
    made = _Submitting(plan, line, over, [run.job for run in seen.runs if run.job and run.job.is_live])
    made.submit(say)
    return joined(seen, made.jobs)


class _Submitting:
    """Submits runs that have no job, each array after those that it needs. jobs: those that there are so far."""

    def __init__(self, plan: CampaignPlan, line: JobLine, over: SlurmSettings, jobs: Sequence[ClusterJob]) -> None:
        self._plan, self._line, self._over = plan, line, over
        self.jobs = list(jobs)
        self._record = record.new(plan.campaign.path)

    def submit(self, say: Callable[[str], None]) -> None:
        found = batches(self._plan, self._settings, without={job.run for job in self.jobs})
        if not found:
            say("Nothing to submit: what is not finished has a job.")
        for number, batch in enumerate(found, start=1):
            array = self._submitted(batch, SubmittedArray(script=f"{number}.sh", runs=batch.names))
            say(f"Job {array.job}: {len(batch.runs)} runs, {self._record.script(array)}")

    def _settings(self, run: PlannedRun) -> SlurmSettings:
        return self._over.over(run.cell.slurm)

    def _submitted(self, batch: RunBatch, array: SubmittedArray) -> SubmittedArray:
        """Submit *batch* and return it with its job: its runs are on record before sbatch is asked, its job after."""
        self._record = self._record.holding(array)
        path = self._record.script(array)
        atomic.write_text(path, script.render(self._array(batch)))
        with signals.deferred():
            try:
                done = array.model_copy(update={"job": queue.submit(path)})
            except UsageError:
                self._record = self._record.without(array)
                raise
            self._record = self._record.holding(done)
        self.jobs += status.queued(done)
        return done

    def _array(self, batch: RunBatch) -> JobArray:
        campaign, numbers = self._plan.campaign.path, {job.run: job.id.partition("_")[0] for job in self.jobs}
        return JobArray(
            name=f"{_NAME}-{campaign.parent.name}",
            campaign=campaign,
            runs=batch.names,
            folder=self._record.folder,
            settings=self._settings(batch.runs[0]),
            command=self._line.command,
            options=self._line.options,
            after=tuple(dict.fromkeys(numbers[name] for name in sorted(batch.needs) if name in numbers)),
        )


def cancel(campaign: Path) -> tuple[ClusterJob, ...]:
    """Cancel the jobs of *campaign* and return those that were there. Raises ClusterError."""
    submissions = record.read(campaign)
    runs = {name for each in submissions for array in each.arrays for name in array.runs}
    live = tuple(job for job in status.jobs(submissions, runs) if job.is_live)
    if live:
        queue.cancel(sorted({job.id.partition("_")[0] for job in live}))
    return live
