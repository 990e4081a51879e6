"""Campaign in a cluster: Jobs submitted, pods watched, and their runs completed; also those of a command before."""

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from mlperf_docker.campaigns.cluster_jobs import ClusterJob, JobState
from mlperf_docker.campaigns.execution import Outcome
from mlperf_docker.campaigns.plan import CampaignPlan
from mlperf_docker.clusters.kubernetes import kept, submission
from mlperf_docker.clusters.kubernetes.cluster import ApiRefusalError, Cluster
from mlperf_docker.clusters.kubernetes.collecting import Ended, collect
from mlperf_docker.clusters.kubernetes.pods import SubmittedJob, job_of, newest, pod_of
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import ClusterError, ContainerError, Interrupted, MlperfDockerError, UsageError
from mlperf_docker.names import ClusterName
from mlperf_docker.system import exclusive, folders

LOCK_FILE = ".kubernetes.lock"
_Answer = TypeVar("_Answer")
_TRIES, _PAUSE_S = 6, 1.0
"""Attempts to reach a cluster that does not answer for a while, and the pause after the first, which doubles."""
_TOGETHER_S = 0.3
"""Pause after a change: others come with it."""
_GONE_S = 60.0
"""Seconds that pods of Jobs that were cancelled have to end, which is twice what Kubernetes gives them."""
_PATIENCE_S = 60.0
_STUCK_HINT = "See that the nodes can pull the image (kubectl describe pod), and run the same command again."


@dataclass(frozen=True)
class View:
    """Runs of a campaign that have a folder of their own still, with what the cluster tells of them."""

    live: tuple[ClusterJob, ...]
    """Those that are queued or at work."""
    ended: tuple[Ended, ...]
    """Those that are to be completed."""
    stuck: tuple[Ended, ...]
    """Those whose pods wait for what will not come."""
    jobs: tuple[SubmittedJob, ...]
    """All Jobs with runs that are not completed."""
    version: str
    """Version of the pods' list, from which a watch goes on."""


def view(cluster: Cluster, results: Path) -> View:
    """Return what the cluster tells of the runs that have a folder in *results*."""
    campaign = submission.label(results)
    found = {each.name: each for each in kept.jobs(results)}
    there = {each.name: each for each in map(job_of, cluster.jobs(campaign).items) if each is not None}
    listed = cluster.pods(campaign)
    pods = newest(map(pod_of, listed.items))
    jobs = {name: job for name, job in (found | there).items() if kept.folder_of(results, name).is_dir()}
    runs = [(job, index) for job in jobs.values() for index in range(len(job.runs))]
    open_ = [
        Ended(job, index, pods.get((job.name, index))) for job, index in runs if _folder(results, job, index).is_dir()
    ]
    stands = {each: _standing(each, there, results) for each in open_}
    of = {wanted: tuple(each for each, standing in stands.items() if standing is wanted) for wanted in _Standing}
    live = tuple(map(_live, of[_Standing.LIVE]))
    return View(live, of[_Standing.ENDED], of[_Standing.STUCK], tuple(jobs.values()), listed.version)


class _Standing(Enum):
    """Standing of a run that a cluster was given."""

    LIVE = auto()
    STUCK = auto()
    ENDED = auto()
    NEVER_BEGUN = auto()


def _folder(results: Path, job: SubmittedJob, index: int) -> Path:
    return kept.run_folder(results, job.name, index)


def _standing(each: Ended, there: Mapping[str, SubmittedJob], results: Path) -> _Standing:
    """Return how a run stands. there: the Jobs that the cluster has; those that are not over make pods."""
    pod, makes_pods = each.pod, each.job.name in there and not there[each.job.name].is_over
    if makes_pods and (pod is None or (pod.ended and pod.disrupted)):
        return _Standing.LIVE
    if pod is None:
        untouched = kept.is_untouched(_folder(results, each.job, each.index))
        return _Standing.NEVER_BEGUN if untouched else _Standing.ENDED
    if pod.ended:
        return _Standing.ENDED
    return _Standing.STUCK if pod.is_stuck else _Standing.LIVE


def _live(each: Ended) -> ClusterJob:
    pod = each.pod
    if pod is None:
        told = f"it has no pod yet: kubectl describe job {each.job.name}"
        return ClusterJob(ClusterName.KUBERNETES, each.name, each.job.name, JobState.QUEUED, why=told)
    if pod.phase == "Pending" or pod.ended:
        waits = pod.reason if pod.ended else pod.waits
        return ClusterJob(ClusterName.KUBERNETES, each.name, pod.name, JobState.QUEUED, why=waits)
    return ClusterJob(ClusterName.KUBERNETES, each.name, pod.name, JobState.RUNNING, pod.node)


def alone(results: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    """Hold the pods' folders in *results* against a second command that would complete them. Raises UsageError."""
    folders.make(results, "as `results` in campaign.yaml")
    held = UsageError(
        f"A command watches the pods of {results} already.", hint="See how far they are: mlperf-docker campaign status"
    )
    return exclusive.alone(results / LOCK_FILE, held, "a second command", say)


def is_watched(results: Path) -> bool:
    """Tell whether a command on this host watches the pods of *results*."""
    return exclusive.is_held(results / LOCK_FILE)


def complete_ended(view: View, plan: CampaignPlan, cluster: Cluster, display: Display) -> dict[str, MlperfDockerError]:
    """Complete all runs whose pods have ended, and return the errors of those that failed, by name."""
    errors: dict[str, MlperfDockerError] = {}
    planned = {run.name: run for run in plan.runs}
    for each in view.ended:
        try:
            result = collect(each, planned.get(each.name), cluster, plan.campaign.results, display)
            display.say(f"{each.name}: {'valid' if result.valid else 'INVALID'}, {result.name}")
        except ClusterError:
            raise
        except MlperfDockerError as error:
            errors[each.name] = error
            for line in error.lines():
                display.say(line)
    return errors


@dataclass
class Watcher:
    """Watcher of a campaign's pods, which submits what is ready and completes what has ended."""

    plan: Callable[[], CampaignPlan]
    cluster: Cluster
    display: Display
    go_on: bool = True
    """Whether runs are submitted after one failed, or did not count."""
    only: Collection[str] | None = None
    """Names of the runs to submit; None for all."""
    patience_s: float = _PATIENCE_S
    """Seconds that pods may be without an image, say: a registry may be busy."""
    _stuck_since: dict[str, float] = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)
    _told: dict[str, str] = field(default_factory=dict)

    def run(self) -> Outcome:
        """Do all runs that are not finished, each once, and return what came of them. Raises Interrupted on Ctrl-C."""
        try:
            return self._run()
        except KeyboardInterrupt as error:
            raise Interrupted(
                "Interrupted. Pods that were submitted go on.",
                hint="The same command completes their runs; mlperf-docker campaign cancel ends them.",
            ) from error

    def _run(self) -> Outcome:
        outcome = Outcome(self.plan())
        results = outcome.plan.campaign.results
        while True:
            seen = self._patiently(lambda: view(self.cluster, results))
            self._complete(seen, outcome)
            waiting = self._give_up(seen, outcome)
            self._tell(seen.live)
            live = {job.run for job in seen.live} | {each.name for each in waiting}
            if not self._submit(outcome, live) and not live:
                return outcome
            self._wait(seen.version, results)

    def _complete(self, seen: View, outcome: Outcome) -> None:
        before = {run.name for run in outcome.plan.runs if run.finished}
        errors = self._patiently(lambda: complete_ended(seen, outcome.plan, self.cluster, self.display))
        outcome.errors.update(errors)
        self._tried |= {each.name for each in seen.ended}
        if seen.ended:
            outcome.plan = self.plan()
            outcome.done += sum(run.finished and run.name not in before for run in outcome.plan.runs)

    def _give_up(self, seen: View, outcome: Outcome) -> tuple[Ended, ...]:
        """End the Jobs whose pods cannot start, and return the runs that may yet.

        All pods of a Job have the same image and the same volumes.
        """
        now = time.monotonic()
        since = {each.job.name: self._stuck_since.setdefault(each.job.name, now) for each in seen.stuck}
        hopeless = {name for name, first in since.items() if now - first >= self.patience_s}
        for each in {stuck.job.name: stuck for stuck in seen.stuck if stuck.job.name in hopeless}.values():
            self._patiently(functools.partial(self.cluster.delete_job, each.job.name))
            waits = each.pod.waits if each.pod else None
            error = ContainerError(f"The pods of Job {each.job.name} cannot start: {waits}.", hint=_STUCK_HINT)
            for line in error.lines():
                self.display.say(line)
            kept.drop_all(outcome.plan.campaign.results, each.job.name, len(each.job.runs))
            for run in each.job.runs:
                self._tried.add(run.name)
                outcome.errors[run.name] = error
        return tuple(each for each in seen.stuck if each.job.name not in hopeless)

    def _submit(self, outcome: Outcome, live: set[str]) -> bool:
        """Submit the runs that are ready, and tell whether there were any."""
        plan = outcome.plan
        runs = [run for run in submission.ready(plan) if run.name not in self._tried | live and self._wants(run.name)]
        failed = bool(outcome.errors) or any(run.name in self._tried and not run.finished for run in plan.runs)
        if not runs or (failed and not self.go_on):
            return False
        rendered = submission.render(plan, runs, self.display)
        self._tried |= {run.name for run in runs}
        submission.create(rendered, self.cluster, plan.campaign.kubernetes, plan.campaign.results)
        for each in rendered:
            self.display.say(f"Job {each.name}: {', '.join(run.name for run in each.runs)}")
        return True

    def _wants(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _tell(self, live: tuple[ClusterJob, ...]) -> None:
        """Say what has changed of the runs that are queued or at work."""
        for job in live:
            told = f"{job.run}: {job.state}, {job}"
            if self._told.get(job.run) != told:
                self._told[job.run] = told
                self.display.say(told)

    def _wait(self, version: str, results: Path) -> None:
        """Wait until a pod changes, or the cluster has nothing more to tell from *version* on."""
        try:
            changed = next(self.cluster.changes(submission.label(results), version), None)
        except ApiRefusalError as error:
            if not error.is_gone:
                raise
            changed = None
        except ClusterError as error:  # the next look tells whether it stays away
            self.display.say(f"{error} Looking again.")
            changed = None
        time.sleep(_PAUSE_S if changed is None else _TOGETHER_S)

    def _patiently(self, asked: Callable[[], _Answer]) -> _Answer:
        """Return what the cluster answers; one that does not answer, or is not ready to, is asked again for a while."""
        for attempt in range(_TRIES):
            try:
                return asked()
            except ClusterError as error:
                if isinstance(error, ApiRefusalError) and not error.may_pass:
                    raise
                self.display.say(f"{error} Asking again.")
                time.sleep(_PAUSE_S * 2**attempt)
        return asked()


def cancel(plan: CampaignPlan, cluster: Cluster, display: Display) -> int:
    """End all pods of *plan*, and return how many there were. What has ended before is completed."""
    results = plan.campaign.results
    seen = view(cluster, results)
    complete_ended(seen, plan, cluster, display)
    cancelled = len(seen.live) + len(seen.stuck)
    for name in {job.name for job in seen.jobs}:
        cluster.delete_job(name)
    deadline = time.monotonic() + _GONE_S
    while seen.live and time.monotonic() < deadline:
        time.sleep(_TOGETHER_S)
        seen = view(cluster, results)
    complete_ended(seen, plan, cluster, display)
    for job in seen.jobs:
        kept.drop_all(results, job.name, len(job.runs))
    return cancelled
