"""Manifests of Jobs and of the policy that keeps their pods off the network. Pure.

Runs of one wave whose containers are equal but for arguments and results folder are one Indexed Job: each argument of
its container is the command line of one run, as JSON, and the pod's index chooses one. A run that is like no other is a
plain Job with the harness's arguments.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlperf_docker.campaigns.kubernetes import KubernetesSettings
from mlperf_docker.clusters.kubernetes.volumes import INDEX_VARIABLE, NoVolumeError, PodVolumes
from mlperf_docker.contract import places
from mlperf_docker.engine.plan import Limits, RunPlan
from mlperf_docker.errors import UsageError
from mlperf_docker.names import LABEL, PullPolicy
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.results.values import ImageUsed

APP = "mlperf-docker"
APP_LABEL = "app.kubernetes.io/name"
CAMPAIGN_LABEL = f"{LABEL}/campaign"
RUNS_ANNOTATION = f"{LABEL}/runs"
IMAGE_ANNOTATION = f"{LABEL}/image"
INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
POLICY = f"{APP}-no-network"

_CHOICE = (
    "import json, os, sys; from {module}.__main__ import main;"
    " sys.exit(main(json.loads(sys.argv[1 + int(os.environ['{variable}'])])))"
)
"""Program of an Indexed Job's pods, in Python as there is no shell: the harness on the arguments of the pod's index."""
_PULL = {PullPolicy.ALWAYS: "Always", PullPolicy.MISSING: "IfNotPresent", PullPolicy.NEVER: "Never"}

UNCONFINED = (
    "no network: only where the cluster's network plugin enforces the NetworkPolicy",
    "number of processes: as the node's kubelet limits it (podPidsLimit)",
)
"""What a container of ours is kept from elsewhere, and is not in a pod by itself."""


@dataclass(frozen=True)
class PodRun:
    """Run of a pod."""

    name: str
    """Its name in the campaign."""
    arguments: tuple[str, ...]
    """Arguments of the harness."""
    title: str
    """What its folder is named after."""
    record: str
    """Digest of what it measures, by which it is known again."""


@dataclass(frozen=True)
class PlannedJob:
    """Job of runs that are alike."""

    name: str
    campaign: str
    """What the label of all Jobs of the campaign says."""
    runs: tuple[PodRun, ...]
    plan: RunPlan
    """Container of each run but for its arguments; at the place of results is the Job's folder, where each run has one
    that is named after its index."""
    image: ImageUsed
    """The image as a result names it; its id is known when a node has it."""
    pull: PullPolicy = PullPolicy.MISSING
    module: str = LAYOUT.module
    """The harness in the image."""

    @property
    def indexed(self) -> bool:
        """Whether it is an Indexed Job."""
        return len(self.runs) > 1


def frame(plan: RunPlan) -> RunPlan:
    """Return *plan* without what tells alike runs apart: arguments and results folder."""
    return replace(plan, arguments=(), mounts=tuple(each for each in plan.mounts if each.container != places.RESULTS))


def manifest(job: PlannedJob, settings: KubernetesSettings) -> dict[str, Any]:
    """Return *job* as `batch/v1` has it. Raises UsageError for what Kubernetes cannot do."""
    labels = {APP_LABEL: APP, CAMPAIGN_LABEL: job.campaign}
    told = [{"name": run.name, "title": run.title, "record": run.record} for run in job.runs]
    by_index = {"completionMode": "Indexed", "completions": len(job.runs), "parallelism": len(job.runs)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            **_namespace(settings),
            "labels": labels,
            "annotations": {
                RUNS_ANNOTATION: json.dumps(told, ensure_ascii=False),
                IMAGE_ANNOTATION: job.image.model_dump_json(),
            },
        },
        "spec": {
            **(by_index | {"backoffLimitPerIndex": 0} if job.indexed else {"backoffLimit": 0}),
            # A node that is drained or fails is no fault of the run.
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [DISRUPTED]}]},
            "ttlSecondsAfterFinished": settings.keep_s,
            "template": {"metadata": {"labels": labels}, "spec": _pod(job, settings)},
        },
    }


DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
"""Condition of a pod that the cluster ended, as its node is drained, failed, or needed by others."""


def policy(settings: KubernetesSettings) -> dict[str, Any]:
    """Return the NetworkPolicy that denies the pods of all Jobs everything."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY, **_namespace(settings), "labels": {APP_LABEL: APP}},
        "spec": {"podSelector": {"matchLabels": {APP_LABEL: APP}}, "policyTypes": ["Ingress", "Egress"]},
    }


def _namespace(settings: KubernetesSettings) -> dict[str, str]:
    return {"namespace": settings.namespace} if settings.namespace else {}


def _pod(job: PlannedJob, settings: KubernetesSettings) -> dict[str, Any]:
    plan, secret = job.plan, settings.image_pull_secret
    uid, _, gid = plan.surroundings.user.partition(":")
    volumes = _volumes(job, settings)
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsUser": int(uid),
            "runAsGroup": int(gid),
            "runAsNonRoot": int(uid) != 0,
            "supplementalGroups": list(plan.surroundings.groups),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"nodeSelector": dict(settings.node_selector)} if settings.node_selector else {}),
        **({"tolerations": [dict(each) for each in settings.tolerations]} if settings.tolerations else {}),
        **({"affinity": _APART} if settings.exclusive else {}),
        **({"imagePullSecrets": [{"name": secret}]} if secret else {}),
        "containers": [_container(job, settings, volumes)],
        "volumes": volumes.volumes,
    }


_APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {"matchLabels": {APP_LABEL: APP}},
                "namespaceSelector": {},
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    }
}
"""No two pods of ours, of whichever namespace, on one node."""


def _volumes(job: PlannedJob, settings: KubernetesSettings) -> PodVolumes:
    """Return the volumes of the pods. Raises NoVolumeError."""
    volumes = PodVolumes(settings)
    volumes.memory("tmp", "/tmp", job.plan.surroundings.tmp_bytes)  # noqa: S108  # the pod's own
    for mount in job.plan.mounts:
        volumes.add(mount)
    if volumes.missing:
        raise NoVolumeError(volumes.missing, settings)
    if job.indexed:
        volumes.by_index(places.RESULTS)
    return volumes


def _container(job: PlannedJob, settings: KubernetesSettings, volumes: PodVolumes) -> dict[str, Any]:
    environment = [{"name": name, "value": _literal(value)} for name, value in job.plan.environment]
    bounds = resources(job.plan.limits, settings)
    return {
        "name": "harness",
        "image": job.plan.image,
        "imagePullPolicy": _PULL[job.pull],
        **_program(job),
        **({"env": environment} if environment else {}),
        **({"resources": {"requests": bounds, "limits": bounds}} if bounds else {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": volumes.mounts,
    }


def _program(job: PlannedJob) -> dict[str, list[str]]:
    """Return what a pod starts: the image's entry point, or what chooses by the index."""
    if not job.indexed:
        return {"args": [_literal(word) for word in job.runs[0].arguments]}
    return {
        "command": [LAYOUT.python, "-c", _CHOICE.format(module=job.module, variable=INDEX_VARIABLE)],
        "args": [_literal(json.dumps(run.arguments, ensure_ascii=False)) for run in job.runs],
    }


def _literal(word: str) -> str:
    """Return *word* so that Kubernetes, which replaces `$(NAME)` and makes one `$` of two, leaves it as it is."""
    return word.replace("$", "$$")


def resources(limits: Limits, settings: KubernetesSettings) -> Mapping[str, str]:
    """Return *limits* as a container has them. Raises UsageError for those that Kubernetes does not have."""
    if limits.cpuset:
        raise UsageError(
            f"Pods have no --cpuset ({limits.cpuset}).",
            hint="Give cpus, a whole number: nodes with the static CPU manager policy pin such pods to processors.",
        )
    named = {
        "cpu": f"{round(limits.cpus * 1000)}m" if limits.cpus else None,
        "memory": str(limits.memory_bytes) if limits.memory_bytes else None,
        settings.gpu_resource: _gpus(limits),
    }
    return {name: value for name, value in named.items() if value}


def _gpus(limits: Limits) -> str | None:
    asked = limits.gpu_request
    if asked is None:
        return None
    if asked.count < 1:
        raise UsageError(
            f"Pods are given GPUs by their number, not by --gpus {limits.gpus}.",
            hint="Give the number among the options of campaign.yaml: options: {gpus: 1}",
        )
    return str(asked.count)
