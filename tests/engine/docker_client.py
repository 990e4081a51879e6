"""docker-py's own client of an engine, for what tests do there and the tool never does."""

from docker import APIClient

from mlperf_docker.engine.client import DockerEngine


def api(engine: DockerEngine) -> APIClient:
    """Return the client that *engine* holds."""
    return engine._client
