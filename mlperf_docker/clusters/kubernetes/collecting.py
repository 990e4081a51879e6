"""Completion of runs whose pods have ended: log read, result written by the session's own code, folder moved."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns.plan import PlannedRun
from mlperf_docker.clusters.kubernetes import kept
from mlperf_docker.clusters.kubernetes.cluster import ApiRefusalError, Cluster
from mlperf_docker.clusters.kubernetes.hosts import host_of, runtime_of
from mlperf_docker.clusters.kubernetes.pods import Pod, SubmittedJob
from mlperf_docker.contract.result import RunReply
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.container import ContainerExit
from mlperf_docker.engine.plan import RunPlan
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.errors import ContainerError, DatasetError, DeviceError, ModelFileError, UsageError
from mlperf_docker.results import store
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs import session
from mlperf_docker.runs.job import Performed, read_reply
from mlperf_docker.runs.runner import execute
from mlperf_docker.runs.session import PreparedRun

_TIME = "%Y%m%dT%H%M%S.000"


@dataclass(frozen=True)
class Ended:
    """Run whose pod has ended, or is gone."""

    job: SubmittedJob
    index: int
    pod: Pod | None

    @property
    def name(self) -> str:
        """The run's name."""
        return self.job.runs[self.index].name

    @property
    def title(self) -> str:
        """What its folder is named after."""
        return self.job.runs[self.index].title


def record_digest(prepared: PreparedRun) -> str:
    """Return a digest of everything that decides what *prepared* measures, wherever its files are."""
    record = prepared.record.model_dump(mode="json", exclude={"command": True, "dataset": {"folder"}})
    request = prepared.request
    held_to = [request.performance_run, request.accuracy_run]
    told = {**record, "held_to": held_to, "harness": session.harness_used(request)}
    return f"sha256:{hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}"


_OF_THE_RUN = (ContainerError, DatasetError, DeviceError, ModelFileError, UsageError)


def collect(ended: Ended, planned: PlannedRun | None, cluster: Cluster, results: Path, display: Display) -> RunResult:
    """Complete a run to its result, and give its folder its place in *results*.

    planned: the run of the campaign as it is now. Raises the run's own error, after its folder has a place as that of
    an attempt; and ClusterError, where nothing is changed.
    """
    folder = kept.run_folder(results, ended.job.name, ended.index)
    name = f"{_began(ended, folder):{_TIME}}-{ended.title}"
    try:
        if not _is_completed(folder):
            _complete(ended, planned, cluster, folder, display)
    except _OF_THE_RUN as error:
        kept.result_file(folder).unlink(missing_ok=True)  # the harness's own, which tells of no request
        error.log = kept.moved(folder, results, name) / store.LOG_FILE
        raise
    return store.read(kept.moved(folder, results, name))


def _began(ended: Ended, folder: Path) -> dt.datetime:
    """Return when the run began; where no pod tells, when its folder was last changed."""
    started = ended.pod.started if ended.pod else None
    return started or dt.datetime.fromtimestamp(int(folder.stat().st_mtime), dt.UTC)


def _is_completed(folder: Path) -> bool:
    """Tell whether the result in *folder* is completed already: a command was killed before it moved the folder."""
    try:
        return store.read(folder).request is not None
    except UsageError:
        return False


def _complete(ended: Ended, planned: PlannedRun | None, cluster: Cluster, folder: Path, display: Display) -> None:
    """Write the whole result to *folder*."""
    prepared = _prepared(ended, planned, display)
    pod = ended.pod
    node = cluster.node(pod.node) if pod and pod.node else None
    image = ended.job.image.model_copy(update={"id": pod.image if pod else ""})
    reply = _reply(ended, prepared, cluster, folder, display)
    performed = Performed(reply, image, (pod.duration_s if pod else None) or 0.0, runtime_of(node))
    session.complete(prepared, folder, performed, host_of(node), None)


def _prepared(ended: Ended, planned: PlannedRun | None, display: Display) -> PreparedRun:
    """Return the request of the run. Raises UsageError where the campaign asks for another one by now."""
    changed = f"{ended.name}: Job {ended.job.name} is of another image, other data or other settings than the campaign"
    if planned is None:
        raise UsageError(f"{changed}, which has no such run.")
    prepared = session.prepare(planned.request, display)
    if record_digest(prepared) != ended.job.runs[ended.index].record:
        raise UsageError(f"{changed} has now; its run does not count.")
    return prepared


def _reply(ended: Ended, prepared: PreparedRun, cluster: Cluster, folder: Path, display: Display) -> RunReply:
    """Return the harness's reply: from the pod's log, or, where that is gone, from the file that it left."""
    job, log = prepared.job(folder), folder / store.LOG_FILE
    plan = job.plan(ended.job.image.tag, surroundings({}))
    left = kept.result_file(folder)
    if ended.pod is None:
        if not left.is_file():
            raise ContainerError(
                f"The pod of Job {ended.job.name} is gone, and left no result.", hint="Run the same command again."
            )
        return read_reply(job.command, _fields(left), log)
    try:
        return read_reply(job.command, execute(_PodLog(cluster, ended.pod), plan, log, display), log)
    except (ContainerError, _NoLogError):
        if not left.is_file():
            raise
        return read_reply(job.command, _fields(left), log)


def _fields(path: Path) -> dict[str, Any]:
    """Return the reply that the harness wrote to *path*."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContainerError(f"The result that the pod left cannot be read: {path}.") from error
    return found if isinstance(found, dict) else {}


class _NoLogError(ContainerError):
    """The log of a pod is gone."""


@dataclass(frozen=True)
class _PodLog:
    """Pod that has run, in the place of what would run its container."""

    cluster: Cluster
    pod: Pod

    def run(
        self, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
    ) -> ContainerExit:
        """Hand over the lines of the log, in which both streams are one, and return how the container ended."""
        del plan, on_stderr
        for line in self._lines():
            on_stdout(line)
        pod = self.pod
        if pod.exit_code is None:
            raise ContainerError(f"The pod {pod.name} failed: {pod.reason or 'its node does not say why'}.")
        return ContainerExit(pod.exit_code, pod.out_of_memory, None)

    def _lines(self) -> Iterator[str]:
        rest = b""
        try:
            for piece in self.cluster.log(self.pod.name):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except ApiRefusalError as error:
            if not error.is_missing:
                raise
            raise _NoLogError(f"The log of the pod {self.pod.name} is gone.") from error
        if rest:
            yield rest.decode(errors="replace")
