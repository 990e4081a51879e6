"""A registry that is down or falters, and a disk that is full: what may pass is waited out, the rest is explained."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.images import push_pull
from mlperf_docker.images.prebuilt import RegistryState
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.registry import refusals
from tests.fakes.engine import FakeDisplay
from tests.fixtures import cells
from tests.fixtures.docker_client import api
from tests.fixtures.registries import Registries
from tests.fixtures.second_engine import second_engine
from tests.images.test_push_pull_transfers import moved, pull, push, refusal

pytestmark = pytest.mark.engine


class Faltering:
    """A way to a registry that breaks the connections numbered in *broken*, after *after* bytes of an answer."""

    def __init__(self, to: str, broken: range, after: int) -> None:
        self._to, self._broken, self._after = to, broken, after
        self.connections = 0

    def handle(self, client: socket.socket) -> None:
        number, self.connections = self.connections, self.connections + 1
        host, _, port = self._to.partition(":")
        with client, socket.create_connection((host, int(port))) as server:
            upwards = threading.Thread(target=_copy, args=(client, server), daemon=True)
            upwards.start()
            _copy(server, client, self._after if number in self._broken else None)


def _copy(source: socket.socket, target: socket.socket, limit: int | None = None) -> None:
    """Copy until the end, or until *limit* bytes are over: then both connections break off."""
    count = 0
    try:
        while data := source.recv(65536):
            count += len(data)
            if limit is not None and count > limit:
                for each in (source, target):
                    each.shutdown(socket.SHUT_RDWR)  # a mere close() would wait for the thread that reads
                return
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def faltering(to: str, broken: range, after: int = 0) -> Iterator[tuple[str, Faltering]]:
    """Yield the address of a faltering way to the registry *to*, and what it counts."""
    way = Faltering(to, broken, after)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=way.handle, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", way
        server.shutdown(socket.SHUT_RDWR)


def test_connections_that_break_are_made_again(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "WAITS_S", (0.05, 0.05, 0.05))
    path = name.partition("/")[2]
    with faltering(registries.open.host, broken=range(3)) as (host, way):
        cells.make(here, resnet50, f"{host}/{path}", b"harness")
        display = FakeDisplay()
        outcomes = push_pull.push_each(here, [recipe_of(resnet50)], Sources(f"{host}/{path}"), "none", display, jobs=1)
        digest = moved(outcomes).digest
        assert [line for line in display.said if "trying again" in line]
        assert way.connections > 3
    with faltering(registries.open.host, broken=range(4)) as (host, way):
        display = FakeDisplay()
        outcomes = push_pull.pull_each(here, [recipe_of(resnet50)], Sources(f"{host}/{path}"), display, jobs=1)
        assert moved(outcomes).digest == digest
        assert [line for line in display.said if "trying again" in line]
        api(here).remove_image(f"{host}/{path}/resnet50@{digest}", force=True)


def test_a_registry_that_is_down(here: DockerEngine, resnet50: ImageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "WAITS_S", (0.05, 0.05, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    cells.make(here, resnet50, f"{host}/x")
    for each in (push_pull.push_each, push_pull.pull_each):
        display = FakeDisplay()
        options = {"built_as": "none"} if each is push_pull.push_each else {}
        error = refusal(each(here, [recipe_of(resnet50)], Sources(f"{host}/x"), display=display, jobs=1, **options))
        assert "connection refused" in str(error)
        assert "The registry is down, out of reach, or busy." in str(error)
        assert host in (error.hint or "")
        assert len([line for line in display.said if "trying again" in line]) == 3


def test_a_disk_that_is_full(
    here: DockerEngine, resnet50: ImageSpec, name: str, registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = cells.make(here, resnet50, name, os.urandom(40 << 20))
    moved(push(here, name, resnet50))
    with second_engine(disk="24m", beside=registries.open.pid) as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.socket)
        small = connect()
        display = FakeDisplay()
        error = refusal(push_pull.pull_each(small, [recipe_of(resnet50)], Sources(name), display, jobs=1))
        assert "no space left on device" in str(error)
        assert "The engine's disk is full." in str(error)
        assert "docker system df" in (error.hint or "")
        assert not [line for line in display.said if "trying again" in line]
        assert api(small).images() == []
        assert images.find(small, wanted.exact) is None


def test_a_pull_without_a_registrys_name_is_refused_at_once(here: DockerEngine, resnet50: ImageSpec) -> None:
    for done in (push, pull):
        assert "the registry 'mlperf-docker' names no host" in str(refusal(done(here, "mlperf-docker", resnet50)))


def test_an_engine_that_has_it_already_needs_no_layer_from_a_faltering_registry(
    here: DockerEngine, resnet50: ImageSpec, name: str
) -> None:
    cells.make(here, resnet50, name, b"harness")
    digest = moved(push(here, name, resnet50)).digest
    again = moved(pull(here, name, resnet50))
    assert (again.state, again.digest) == (RegistryState.PRESENT, digest)
