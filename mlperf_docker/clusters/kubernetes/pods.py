"""Jobs and pods as the API tells of them. Pure."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlperf_docker.clusters.kubernetes import jobs
from mlperf_docker.results.values import ImageUsed

Message = Mapping[str, Any]
_ENDED = ("Succeeded", "Failed")
_STUCK = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
)
"""Reasons of a container that does not start, and will not by waiting."""
_JOB_LABEL = "batch.kubernetes.io/job-name"


@dataclass(frozen=True)
class Pod:
    """Pod of a Job of ours."""

    name: str
    job: str
    index: int
    phase: str
    created: str = ""
    node: str | None = None
    waits: str | None = None
    """Why it does not run yet."""
    is_stuck: bool = False
    """Whether it waits for what will not come, as an image that is nowhere."""
    exit_code: int | None = None
    """None where its container never ended by itself."""
    out_of_memory: bool = False
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    image: str = ""
    """Id of its image on the node."""
    reason: str = ""
    """Why it failed, where that was no doing of its container: it was evicted, say."""
    disrupted: bool = False
    """Whether the cluster ended it, for its node was drained or failed: its Job, while it lasts, makes another one."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.phase in _ENDED

    @property
    def duration_s(self) -> float | None:
        """Seconds in the container."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else None


@dataclass(frozen=True)
class SubmittedRun:
    """Run of a Job that is in a cluster, or was."""

    name: str
    title: str
    record: str


@dataclass(frozen=True)
class SubmittedJob:
    """Job that is in a cluster, or was."""

    name: str
    runs: tuple[SubmittedRun, ...]
    image: ImageUsed
    is_over: bool = False
    """Whether its controller makes no more pods."""


def job_of(message: Message) -> SubmittedJob | None:
    """Return the Job that *message*, its object, is; None where it is none of ours."""
    metadata, status = message.get("metadata") or {}, message.get("status") or {}
    annotations = metadata.get("annotations") or {}
    try:
        runs = tuple(SubmittedRun(**each) for each in json.loads(annotations[jobs.RUNS_ANNOTATION]))
        image = ImageUsed.model_validate_json(annotations[jobs.IMAGE_ANNOTATION])
    except (LookupError, TypeError, ValueError, ValidationError):
        return None
    over = any(_is_true(status, each) for each in ("Complete", "Failed"))
    return SubmittedJob(str(metadata.get("name")), runs, image, over)


def pod_of(message: Message) -> Pod:
    """Return the pod that *message*, its object, is."""
    metadata, status = message["metadata"], message.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    container: Message = next(iter(status.get("containerStatuses") or ()), {})
    state: Message = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    return Pod(
        name=metadata["name"],
        job=labels.get(_JOB_LABEL) or labels.get("job-name") or "",
        index=int(annotations.get(jobs.INDEX_ANNOTATION) or 0),
        phase=status.get("phase") or "Pending",
        created=metadata.get("creationTimestamp") or "",
        node=(message.get("spec") or {}).get("nodeName"),
        waits=_told(waiting) or _unscheduled(status),
        is_stuck=waiting.get("reason") in _STUCK,
        exit_code=ended.get("exitCode"),
        out_of_memory=ended.get("reason") == "OOMKilled",
        started=_time(ended.get("startedAt") or (state.get("running") or {}).get("startedAt")),
        finished=_time(ended.get("finishedAt")),
        image=_id(container.get("imageID") or ""),
        reason=_told(status),
        disrupted=_is_true(status, jobs.DISRUPTED["type"]),
    )


def newest(pods: Iterable[Pod]) -> dict[tuple[str, int], Pod]:
    """Return the last pod of each Job and index: one whose node went away has a successor."""
    return {(pod.job, pod.index): pod for pod in sorted(pods, key=lambda pod: pod.created)}


def _conditions(status: Message) -> Iterable[Message]:
    return status.get("conditions") or ()


def _is_true(status: Message, condition: str) -> bool:
    return any(each.get("type") == condition and each.get("status") == "True" for each in _conditions(status))


def _told(state: Message) -> str:
    """Return the reason and the message of *state* in one line."""
    words = (str(state.get(key) or "").strip() for key in ("reason", "message"))
    return ": ".join(word for word in words if word)


def _unscheduled(status: Message) -> str | None:
    """Return why no node takes the pod, or None."""
    found = (
        each for each in _conditions(status) if each.get("type") == "PodScheduled" and each.get("status") == "False"
    )
    return next((_told(each) for each in found), None)


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None


def _id(text: str) -> str:
    """Return the digest in an image's id, which runtimes put after their own name and the image's."""
    return text[text.index("sha256:") :] if "sha256:" in text else text
