"""What every ring may use. The real-engine ring brings an engine up where it can, and is mandatory where CI=true."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.errors import EngineError
from mlperf_docker.images import bases
from mlperf_docker.images.bases import Base
from mlperf_docker.maintenance.bringup import ensure_bootstrap, ensure_engine
from mlperf_docker.system.paths import assets
from tests.engine.docker_client import api
from tests.registry.fixtures import (  # noqa: F401  # fixtures, here for the tests of registry and cells alike
    docker_cleanup,
    docker_compose_command,
    docker_compose_file,
    docker_setup,
    other_machine,
    registries,
    registry_image,
    registry_ports,
    registry_settings,
    trusted,
)


def pytest_configure() -> None:
    """Let signals that were ignored at the start (`nohup make test &`, jobs of CI systems) reach what tests start.

    A handler of Python's is gone in a program that is started, an ignored signal stays ignored there. SIGINT does here
    what it does at a terminal; the others go on doing nothing to pytest itself.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else lambda *_: None)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@pytest.fixture(scope="session")
def engine() -> DockerEngine:
    """A real engine. Skips where there can be none, and fails instead where CI=true."""
    try:
        ensure_engine(_tell)
        return connect()
    except EngineError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs a Docker engine: {error}")
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load(assets() / "images.yaml")


@pytest.fixture(scope="session")
def resnet50(catalog: Catalog) -> ImageSpec:
    """The cell that is complete."""
    return next(spec for spec in catalog.specs if str(spec) == "resnet50:onnxruntime-cpu")


@pytest.fixture(scope="session")
def base_image(engine: DockerEngine, resnet50: ImageSpec) -> Iterator[Base]:
    """A base on the engine; one that had to be bootstrapped for the tests is removed again."""
    name = bases.bootstrap_tag(resnet50.base)
    before = images.find(engine, name)
    ensure_bootstrap(_tell, [resnet50.base])
    yield bases.resolve_base(engine, resnet50.base, bootstrap=True, say=_tell)
    if before is None and images.find(engine, name) is not None:
        api(engine).remove_image(name, force=True)
