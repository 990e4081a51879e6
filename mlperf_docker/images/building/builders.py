"""Choice of the builder that fits the engine."""

from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.facts import is_podman
from mlperf_docker.images.building.buildah import BuildahBuilder
from mlperf_docker.images.building.builder import Builder
from mlperf_docker.images.building.buildkit import BuildKitBuilder


def builder_of(client: Engine) -> Builder:
    """Return the builder that fits the engine."""
    return BuildahBuilder(client) if is_podman(client) else BuildKitBuilder(client)
