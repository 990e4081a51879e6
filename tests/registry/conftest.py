"""What the tests on a real registry share: a path in it for each test, and images that are gone after it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.engine.client import DockerEngine, connect
from tests.engine import tiny_image
from tests.engine.conftest import MARK, TEST_LABEL
from tests.engine.docker_client import api
from tests.engine.fake import FakeDisplay
from tests.engine.second_engine import SecondEngine
from tests.registry.cells import FOUNDATION
from tests.registry.fixtures import Registries


@pytest.fixture(scope="package")  # gone before the tests of the engine clear up
def foundation(engine: DockerEngine) -> Iterator[None]:
    name, _, tag = FOUNDATION.rpartition(":")
    api(engine).import_image_from_data(tiny_image.archive(), repository=name, tag=tag)
    yield
    api(engine).remove_image(FOUNDATION, force=True)


@pytest.fixture
def here(
    engine: DockerEngine, foundation: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerEngine]:
    """This host's engine, without any login. What the test made on it is removed, also where it failed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    yield engine
    remove_all(engine)


@pytest.fixture
def there(other_machine: SecondEngine, here: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    """The other machine's engine, with nothing on it."""
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", other_machine.socket)
        engine = connect()
    yield engine
    remove_all(engine)


def remove_all(engine: DockerEngine) -> None:
    """Remove the images of these tests, whatever they are called."""
    for image in api(engine).images(filters={"label": f"{TEST_LABEL}={MARK}"}):
        api(engine).remove_image(image["Id"], force=True)


@pytest.fixture
def name(registries: Registries) -> str:
    """A registry's name that is this test's own: host and path."""
    return f"{registries.open.host}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def display() -> FakeDisplay:
    return FakeDisplay()
