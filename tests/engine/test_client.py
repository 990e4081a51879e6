"""Finding the engine as docker does, and saying precisely why one cannot serve us."""

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import urllib3
from docker.errors import APIError, NotFound, StreamParseError

from mlperf_docker.contract import devices
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine import client as module
from mlperf_docker.engine.address import DEFAULT_HOST, check_socket, engine_host
from mlperf_docker.engine.client import connect, translated
from mlperf_docker.engine.engine import (
    EngineDownError,
    EngineGoneError,
    EngineLostError,
    EngineRefusedError,
    EngineSilentError,
    NotOnEngineError,
)
from mlperf_docker.engine.facts import facts, require_buildkit, require_device
from mlperf_docker.errors import BuildError, DeviceError, EngineError
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.maintenance import doctor
from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings
from tests.fakes.engine_socket import ANCIENT, MODERN, OLD, PODMAN, WINDOWS, serving


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: a unix socket's is limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="mlperf-") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No docker settings but the test's own."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def engine_that_answers(place: Path) -> Iterator[Any]:
    """Point DOCKER_HOST at an engine with the given answers."""
    with pytest.MonkeyPatch.context() as patch:
        running = []

        def start(answers: dict[str, Any]) -> str:
            server = serving(place / "engine.sock", answers)
            running.append(server)
            host = server.__enter__()
            patch.setenv("DOCKER_HOST", host)
            return host

        yield start
        for server in running:
            server.__exit__(None, None, None)


def write_context(folder: Path, name: str, host: str) -> None:
    """Lay a docker context out as `docker context create` does."""
    meta = folder / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    endpoint = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoint}))


def use_context(folder: Path, name: str) -> None:
    (folder / ".docker").mkdir(exist_ok=True)
    (folder / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def refusal() -> EngineError:
    with pytest.raises(EngineError) as caught:
        connect()
    assert caught.value.exit_code is ExitCode.ENGINE
    return caught.value


def test_the_systems_socket_is_the_default() -> None:
    assert engine_host() == DEFAULT_HOST


def test_docker_host_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_context(tmp_path, "there", "tcp://there:2375")
    use_context(tmp_path, "there")
    assert engine_host() == "tcp://there:2375"
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert engine_host() == "unix:///elsewhere.sock"


def test_docker_context_comes_before_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_context(tmp_path, "there", "tcp://there:2375")
    write_context(tmp_path, "here", "unix:///here.sock")
    use_context(tmp_path, "there")
    monkeypatch.setenv("DOCKER_CONTEXT", "here")
    assert engine_host() == "unix:///here.sock"


def test_a_context_that_is_not_there_is_an_error_and_never_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "absent")
    assert "'absent'" in str(refusal())
    monkeypatch.delenv("DOCKER_CONTEXT")
    use_context(tmp_path, "removed")
    assert "docker context ls" in (refusal().hint or "")


def test_a_missing_socket_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/none.sock")
    error = refusal()
    assert f"No Docker engine is running: {place}/none.sock does not exist." in str(error)


@pytest.mark.parametrize(("installed", "remedy"), [(True, "systemctl start"), (False, "apt-get install docker.io")])
def test_the_remedy_fits_what_is_installed(
    installed: bool, remedy: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "dockerd").write_text("#!/bin/sh\n")
    (place / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(place) if installed else str(place / "empty"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/none.sock")
    assert remedy in (refusal().hint or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_of_somebody_elses_is_told_from_one_that_is_not_there(place: Path) -> None:
    place.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "engine.sock"))
        (place / "engine.sock").chmod(0o660)
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:  # nothing but the check may run here: a forked pytest must not go on
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                check_socket(place / "engine.sock")
            except EngineError as error:
                os.write(tell, f"{error} {error.hint}".encode())
            finally:
                os._exit(0)
        os.close(tell)
        with os.fdopen(told) as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
    assert "You may not use the Docker engine at" in said
    assert "usermod -aG docker" in said


def test_a_socket_that_nobody_listens_at(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(place / "engine.sock"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/engine.sock")
    assert str(refusal()) == f"No Docker engine answers at unix://{place}/engine.sock: Connection refused"


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "no address", "ftp://x"])
def test_an_address_where_no_engine_is(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert host in str(refusal())


@pytest.mark.parametrize(
    "host",
    [
        *("tcp://", "tcp://host", "tcp://host:abc", "tcp://host:99999", "tcp://[::1", "tcp:// x:1", "localhost:2375"),
        *("unix://", "/var/run/docker.sock", "fd://", "npipe:////./pipe/docker", " ", "tcp://me:hunter2@host:1"),
    ],
)
def test_a_malformed_address_is_said_to_be_one(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    error = refusal()
    assert str(error) == f"{host!r} is no address of a Docker engine."
    assert not isinstance(error, EngineDownError)
    assert error.hint == "Write DOCKER_HOST as unix:///path/of/docker.sock or tcp://host:port, or unset it."


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("ssh://me@far.test", "docker.sock me@far.test)"),
        ("SSH://me:hunter2@far.test:2222", "docker.sock -p 2222 me@far.test)"),
        ("ssh://far.test", "docker.sock far.test)"),
    ],
)
def test_an_engine_by_ssh_is_told_how_it_can_be_reached(
    host: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    error = refusal()
    assert not isinstance(error, EngineDownError)
    assert "by ssh" in str(error)
    assert target in (error.hint or "")
    assert "DOCKER_HOST=unix:///tmp/docker.sock" in (error.hint or "")
    assert "hunter2" not in (error.hint or "")


def test_a_context_by_ssh_is_told_the_same(tmp_path: Path) -> None:
    write_context(tmp_path, "far", "ssh://me@far.test")
    use_context(tmp_path, "far")
    assert "by ssh" in str(refusal())


@pytest.mark.parametrize("meta", ["", "[]", "{}", '{"Name": 5}', '{"Name": "x", "Endpoints": 5}'])
def test_a_context_that_cannot_be_read(tmp_path: Path, meta: str) -> None:
    write_context(tmp_path, "odd", "unix:///x")
    use_context(tmp_path, "odd")
    next((tmp_path / ".docker").rglob("meta.json")).write_text(meta)
    assert "docker context" in f"{refusal()} {refusal().hint}"


def test_certificates_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nowhere")
    error = refusal()
    assert "certificates" in str(error)
    assert "DOCKER_CERT_PATH" in (error.hint or "")


@pytest.mark.parametrize(("answers", "api"), [(OLD, "1.39"), (ANCIENT, "1.24")], ids=["18.09", "1.9"])
def test_an_engine_that_is_too_old(answers: dict[str, Any], api: str, engine_that_answers: Any) -> None:
    engine_that_answers(answers)
    error = refusal()
    assert "The Docker engine is too old" in str(error)
    assert api in str(error)
    assert "20.10" in (error.hint or "")


def test_something_else_that_speaks_http(engine_that_answers: Any) -> None:
    engine_that_answers({"/": "<html>"})
    assert "No Docker engine answers" in str(refusal())


@pytest.mark.parametrize(
    "odd",
    [
        {"/info": None},
        {"/info": {"Runtimes": [], "DockerRootDir": 5}},
        {"/info": "no JSON"},
        {"/version": {**MODERN["/version"], "Components": 3}},
    ],
)
def test_a_server_that_is_no_engine_is_a_finding_of_doctor(odd: dict[str, Any], engine_that_answers: Any) -> None:
    engine_that_answers({**MODERN, **odd})
    with pytest.raises(EngineError):
        facts(connect())
    (engine, *_) = doctor.check_all()
    assert (engine.name, engine.level) == ("engine", doctor.Severity.FAIL)
    assert "DOCKER_HOST" in (engine.remedy or "")


@pytest.mark.parametrize("answers", [PODMAN, WINDOWS], ids=["podman", "windows"])
def test_an_engine_without_buildkit_connects_and_cannot_build(
    answers: dict[str, Any], engine_that_answers: Any
) -> None:
    engine_that_answers(answers)
    client = connect()
    assert facts(client).builder == ("Buildah" if answers is PODMAN else None)
    with pytest.raises(EngineError, match="cannot build with BuildKit") as caught:
        require_buildkit(client)
    assert "--pull always" in (caught.value.hint or "")


def test_facts_of_a_modern_engine_are_read(engine_that_answers: Any) -> None:
    engine_that_answers(MODERN)
    told = facts(connect())
    assert (told.version, told.api_version, told.storage_driver) == ("20.10.24", "1.41", "overlay2")
    assert (told.name, told.builder) == ("Docker", "BuildKit")
    assert told.data_root == Path("/var/lib/docker")
    require_buildkit(connect())


def test_a_gpu_that_the_engine_cannot_give(
    place: Path, engine_that_answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(place))
    engine_that_answers(MODERN)
    with pytest.raises(DeviceError, match="no GPU runtime") as caught:
        require_device(connect(), Device.CUDA)
    assert caught.value.exit_code is ExitCode.DEVICE


@pytest.mark.parametrize(
    "info",
    [{"Runtimes": {"nvidia": {}}}, {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}],
    ids=["runtime", "cdi"],
)
def test_a_gpu_that_the_engine_can_give_is_looked_for_on_this_host(
    info: dict[str, Any], place: Path, engine_that_answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_that_answers({**MODERN, "/info": {**MODERN["/info"], **info}})
    profile = replace(Device.CUDA.profile, signs=(str(place / "nvidiactl"),))
    monkeypatch.setattr(devices, "PROFILES", {**devices.PROFILES, Device.CUDA: profile})
    with pytest.raises(DeviceError, match="this host has none"):
        require_device(connect(), Device.CUDA)
    (place / "nvidiactl").touch()
    require_device(connect(), Device.CUDA)


def test_an_engine_that_breaks_off_within_a_build(engine_that_answers: Any) -> None:
    engine_that_answers(MODERN)
    request = BuildRequest(BuildInputs("FROM x\n", ()), "x", ("mlperf-test/x:1",), {}, HostSettings())
    with pytest.raises(BuildError, match="the connection to the engine broke") as caught:
        BuildKitBuilder(connect()).build(request, on_event=lambda _event: None)
    assert "mlperf-docker doctor" in (caught.value.hint or "")
    assert caught.value.log is not None


@pytest.mark.parametrize(
    ("said", "shown"),
    [('{"message": "no such image"}', "no such image"), ("plain words", "plain words"), ("[1]", "[1]")],
)
def test_the_engines_own_words(said: str, shown: str) -> None:
    with pytest.raises(EngineRefusedError) as caught, translated():
        raise APIError("500", explanation=said)
    assert caught.value.reason == shown


@pytest.mark.parametrize(
    ("raised", "kind", "answering"),
    [
        (requests.exceptions.ReadTimeout("x"), EngineSilentError, False),
        (urllib3.exceptions.ReadTimeoutError(cast("Any", None), "/", "x"), EngineSilentError, True),
        (requests.exceptions.ConnectionError("Connection aborted."), EngineGoneError, False),
        (requests.exceptions.ChunkedEncodingError("x"), EngineGoneError, True),
        (urllib3.exceptions.ProtocolError("Connection broken: InvalidChunkLength"), EngineGoneError, True),
        (StreamParseError("x"), EngineGoneError, True),
    ],
)
def test_an_engine_that_is_lost_before_or_within_an_answer(
    raised: Exception, kind: type[EngineLostError], *, answering: bool
) -> None:
    with pytest.raises(kind) as caught, translated():
        raise raised
    assert caught.value.answering is answering
    assert caught.value.exit_code is ExitCode.ENGINE


def test_an_absent_image_is_a_not_on_engine_error() -> None:
    with pytest.raises(NotOnEngineError, match="refuses: No such image: x"), translated():
        raise NotFound("404", explanation='{"message": "No such image: x"}')


def test_an_engine_that_hangs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_TIMEOUT_S", 0.3)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}/engine.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(place / "engine.sock"))
        mute.listen()
        assert "No Docker engine answers" in str(refusal())
