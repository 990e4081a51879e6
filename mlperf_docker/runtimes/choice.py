"""Choice of the runtime by its name."""

from collections.abc import Callable

from mlperf_docker.errors import UsageError
from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.runtimes.podman import PodmanRuntime
from mlperf_docker.runtimes.runtime import Runtime

_RUNTIMES: dict[RuntimeName | None, Callable[[], Runtime]] = {
    None: DockerRuntime,
    RuntimeName.DOCKER: DockerRuntime,
    RuntimeName.PODMAN: PodmanRuntime,
}


def runtime_of(name: RuntimeName | None) -> Runtime:
    """Return the runtime called *name*, Docker's for None. Nothing is asked of it yet."""
    if name not in _RUNTIMES:
        raise UsageError(f"--runtime {name} is none that this version runs.", hint="Choose docker or podman.")
    return _RUNTIMES[name]()
