"""Jobs of a campaign on Slurm: what was submitted, by what the queue, the accounting and the logs tell of it."""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.campaigns.cluster_jobs import ClusterJob, JobState
from mlperf_docker.campaigns.plan import CampaignPlan
from mlperf_docker.clusters.joining import joined
from mlperf_docker.clusters.slurm import ends, queue, record, script
from mlperf_docker.clusters.slurm.queue import Task
from mlperf_docker.clusters.slurm.record import Submission, SubmittedArray
from mlperf_docker.errors import ClusterError
from mlperf_docker.names import ClusterName


@dataclass(frozen=True)
class _Place:
    """Task of an array that was submitted, or was to be."""

    submission: Submission
    array: SubmittedArray
    number: int

    @property
    def run(self) -> str:
        return self.array.runs[self.number]

    @property
    def script(self) -> Path:
        return self.submission.script(self.array)


def seen(plan: CampaignPlan) -> CampaignPlan:
    """Return *plan* with the jobs of its open runs. Raises ClusterError where the queue does not answer."""
    return joined(plan, jobs(record.read(plan.campaign.path), {run.name for run in plan.open}))


def seen_if_it_answers(plan: CampaignPlan, say: Callable[[str], None]) -> CampaignPlan:
    """Return the same, and without jobs, after saying so, where the queue does not answer."""
    try:
        return seen(plan)
    except ClusterError as error:
        say(f"{error} So nothing is known of the jobs; the results are as they lie there.")
        return plan


def jobs(submissions: Iterable[Submission], runs: Set[str]) -> tuple[ClusterJob, ...]:
    """Return the jobs that *runs* were handed to, by their names; the newest last. Raises ClusterError.

    An array whose number was not written down, as the tool was killed between sbatch and the record, is found by its
    script. One that sbatch never got is none.
    """
    places = [each for each in _places(submissions) if each.run in runs]
    if not places:
        return ()
    numbers = {each.array.job for each in places}
    known = sorted(each for each in numbers if each is not None)
    found = queue.own_tasks() if None in numbers else ()
    tasks = (*found, *(queue.tasks(known) if known else ()))
    by_place = {(str(task.script), task.number): task for task in tasks}
    gone = sorted(
        {each.array.job for each in places if each.array.job and (str(each.script), each.number) not in by_place}
    )
    by_number = {(task.job, task.number): task for task in (queue.accounted(gone) if gone else ())}
    made = (
        _job(each, by_place.get((str(each.script), each.number)) or by_number.get((each.array.job or "", each.number)))
        for each in places
    )
    return tuple(job for job in made if job is not None)


def queued(array: SubmittedArray) -> Iterator[ClusterJob]:
    """Yield the jobs of *array*, which was just submitted."""
    for number, run in enumerate(array.runs):
        yield ClusterJob(ClusterName.SLURM, run, f"{array.job}_{number}", JobState.QUEUED)


def _places(submissions: Iterable[Submission]) -> Iterator[_Place]:
    for submission in submissions:
        for array in submission.arrays:
            yield from (_Place(submission, array, number) for number in range(len(array.runs)))


def _job(place: _Place, task: Task | None) -> ClusterJob | None:
    """Return the job at *place*, which is *task*; one that nothing knows of has ended, or never was."""
    job = task.job if task else place.array.job
    if job is None:
        return None
    name, node = f"{job}_{place.number}", task.node if task else None
    if task is not None and not task.has_ended:
        state = JobState.QUEUED if task.is_waiting else JobState.RUNNING
        return ClusterJob(ClusterName.SLURM, place.run, name, state, node, task.reason if task.is_waiting else None)
    return ClusterJob(ClusterName.SLURM, place.run, name, JobState.ENDED, node, _end(place, job, task))


def _end(place: _Place, job: str, task: Task | None) -> str | None:
    """Return how the job at *place* ended, unless that was by itself. One that stopped when it was warned timed out."""
    told = ends.told_by(script.log(place.submission.folder, job, place.number))
    if task is None:
        return told
    if task.was_warned and told in (None, *ends.OF_A_SIGNAL):
        return "TIMEOUT"
    return task.end or told
