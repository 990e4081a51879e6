"""The quick look at a local engine's images: it agrees with the client, and knows when it may not be used."""

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import address, glance
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.glance import Glance
from mlperf_docker.errors import EngineError
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import LABEL
from tests.fixtures.docker_client import api


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="mlperf-test-") as folder:
        yield Path(folder)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without any docker setting, beside an engine's socket; returns docker's configuration folder."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "docker.sock").touch()
    monkeypatch.setattr(address, "DEFAULT_HOST", f"unix://{tmp_path}/docker.sock")
    return tmp_path


@pytest.mark.parametrize("config", [None, "{}", '{"currentContext": "default"}', "[]", "not JSON"])
def test_the_systems_socket_is_looked_at(plain: Path, config: str | None) -> None:
    if config is not None:
        (plain / "config.json").write_text(config)
    assert isinstance(glance.images(), Glance)


@pytest.mark.parametrize("way", ["variable", "configuration"])
def test_a_docker_context_is_left_to_the_client(plain: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "variable":
        monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    else:
        (plain / "config.json").write_text(json.dumps({"currentContext": "no-such-context"}))
    with pytest.raises(EngineError, match="context"):
        glance.images()


def test_a_socket_that_is_not_there_is_an_engine_error(short: Path) -> None:
    with pytest.raises(EngineError) as caught:
        Glance(short / "none.sock").find_image("x")
    assert caught.value.exit_code is ExitCode.ENGINE
    assert str(short) in str(caught.value)


@pytest.mark.parametrize("answer", ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK", "garbage"])
def test_a_socket_without_a_docker_engine_is_an_engine_error(short: Path, answer: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short / "other.sock"))
        server.listen()

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"{answer}\r\nContent-Length: 2\r\n\r\n[]".encode())

        answering = Thread(target=reply, daemon=True)
        answering.start()
        with pytest.raises(EngineError, match=r"other\.sock"):
            Glance(short / "other.sock").find_image("x")
        answering.join()


@pytest.mark.parametrize(("answers_each", "connections"), [(2, 1), (1, 2)], ids=["kept open", "closed when idle"])
def test_a_connection_serves_as_long_as_the_engine_keeps_it(short: Path, answers_each: int, connections: int) -> None:
    accepted = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short / "engine.sock"))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted.append(connection)
                with connection:
                    for _ in range(answers_each):
                        connection.recv(65536)
                        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"Id": "x"}')

        Thread(target=serve, daemon=True).start()
        look = Glance(short / "engine.sock")
        assert [look.find_image(name) for name in ("a", "b")] == [{"Id": "x"}] * 2
    assert len(accepted) == connections


def test_one_list_tells_which_names_are_not_there(short: Path) -> None:
    listed = [
        {"RepoTags": ["localhost/a/here:1", "docker.io/library/debian:12"], "Labels": {LABEL: "image", "x": "y"}},
        {"RepoTags": None, "Labels": None},
    ]
    answers = {"/images/json": listed, "/images/a/here:1/json": {"Id": "1"}, "/images/debian:12/json": {"Id": "2"}}
    asked = []

    class Engine(Glance):
        def _get(self, path: str) -> tuple[int, Any]:
            asked.append(path)
            return (200, answers[path]) if path in answers else (404, None)

    look = Engine(short / "engine.sock")
    assert look.find_image("a/absent:1") is look.find_image("b/absent:2") is None
    assert [look.find_image("a/here:1"), look.find_image("a/here:1")] == [{"Id": "1"}] * 2
    assert look.find_image("debian:12") == {"Id": "2"}
    assert look.images(f"{LABEL}=image") == look.images(LABEL) == listed[:1]
    assert look.images(f"{LABEL}=base") == []
    assert asked == list(answers)
    for asked_for in ("a/absent", "debian@sha256:1", "sha256:0123456789ab", "host:5000/absent"):
        assert look.find_image(asked_for) is None
    assert len(asked) == len(answers) + 4, "an id, a digest, or what may be a tag `latest`"


@pytest.mark.engine
def test_the_glance_sees_what_the_client_sees(engine: DockerEngine, base_image: Base) -> None:
    if not api(engine).base_url.startswith("http+docker://"):
        pytest.skip("this engine has no socket here")
    look = glance.images()
    assert isinstance(look, Glance)
    assert images.find(look, base_image.reference) == images.find(engine, base_image.reference)
    assert images.find(look, base_image.reference) is not None
    bases = f"{LABEL}=base"
    assert {each["Id"] for each in look.images(bases)} == {each["Id"] for each in engine.images(bases)}
    assert images.find(look, "no-such-image:1") is None
    assert images.find(look, f"no.such.registry:5000/a/b:1@sha256:{'0' * 64}") is None
