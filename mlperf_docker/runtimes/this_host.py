"""User and facts of this host, for runtimes that run containers on it without an engine."""

import os
from dataclasses import replace

from mlperf_docker.engine.plan import ContainerUser
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.host.facts import ContainerEngine
from mlperf_docker.host.probing import probe
from mlperf_docker.systems.runs_on import ContainerHost


def user() -> ContainerUser:
    """Return the caller, with bounds that follow from this host."""
    return surroundings({"NCPU": os.cpu_count(), "MemTotal": _memory_bytes()})


def host(runtime: str, version: str) -> ContainerHost:
    """Return this host. runtime: what runs the containers."""
    return ContainerHost(replace(probe(), engine=ContainerEngine(runtime, version)), is_here=True)


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
