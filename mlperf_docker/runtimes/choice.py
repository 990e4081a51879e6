"""Choice of the runtime by its name."""

from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.daemonless import CommandRuntime
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.runtimes.podman import PodmanRuntime
from mlperf_docker.runtimes.rendering import KINDS
from mlperf_docker.runtimes.runtime import Runtime


def runtime_of(name: RuntimeName | None) -> Runtime:
    """Return the runtime called *name*, Docker's for None. Nothing is asked of it yet."""
    if name is not None and name in KINDS:
        return CommandRuntime(name)
    return PodmanRuntime() if name is RuntimeName.PODMAN else DockerRuntime()
