"""Choice of the runtime by its name."""

from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.docker import DockerRuntime
from mlperf_docker.runtimes.runtime import Runtime


def runtime_of(name: RuntimeName) -> Runtime:
    """Return the runtime called *name*. Nothing is asked of it yet."""
    del name  # Docker's engine is the only one so far
    return DockerRuntime()
