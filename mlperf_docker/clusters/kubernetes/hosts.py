"""Hosts of pods: facts of a node, as the API tells of them. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from mlperf_docker.clusters.kubernetes.jobs import UNCONFINED
from mlperf_docker.host.facts import ContainerEngine, HostFacts, HostSystem, Memory, Processor
from mlperf_docker.results.values import RuntimeUsed
from mlperf_docker.systems.runs_on import ContainerHost

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_QUANTITY = re.compile(r"(\d+)([KMGT]i|[kMGT])?")


def host_of(node: Mapping[str, Any] | None) -> ContainerHost:
    """Return the host that *node*, its object, is; one of which nothing is known where we may not see nodes."""
    status = (node or {}).get("status") or {}
    told, capacity = status.get("nodeInfo") or {}, status.get("capacity") or {}
    machine = str(told.get("architecture") or "")
    name, _, version = str(told.get("containerRuntimeVersion") or "").partition("://")
    facts = HostFacts(
        processor=Processor(architecture=_MACHINES.get(machine, machine) or None, threads=_number(capacity.get("cpu"))),
        memory=Memory(size_bytes=_number(capacity.get("memory"))),
        system=HostSystem(kernel=told.get("kernelVersion"), distribution=told.get("osImage")),
        engine=ContainerEngine(name or None, version or None, threads=_number(capacity.get("cpu"))),
    )
    return ContainerHost(facts, is_here=False)


def runtime_of(node: Mapping[str, Any] | None) -> RuntimeUsed:
    """Return Kubernetes as a result names its runtime."""
    told = ((node or {}).get("status") or {}).get("nodeInfo") or {}
    return RuntimeUsed(name="kubernetes", version=told.get("kubeletVersion") or "unknown", unconfined=UNCONFINED)


def _number(quantity: object) -> int | None:
    """Return a whole quantity as a number, or None where it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    return int(match[1]) * _UNITS[match[2] or ""] if match else None
