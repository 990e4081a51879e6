"""A real registry for the tests: Debian's docker-registry in an image of our own, brought up from compose.yaml.

Three of them: open, with a login, and with TLS by a private authority. `other_machine` is a second engine that has
nothing and reaches the same registries under the same names.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from pytest_docker.plugin import Services

from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.bases import Base
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.maintenance import bringup
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.registry.client import CERTIFICATES
from tests.engine.docker_client import api
from tests.engine.second_engine import SecondEngine, second_engine

FOLDER = Path(__file__).parent
IMAGE = f"mlperf-test/registry:{os.getpid()}"
USER, PASSWORD = "tester", "correct horse"
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"  # bcrypt of PASSWORD
_PATIENCE_S = 60
_DOCKERFILE = """\
ARG BASE
FROM ${BASE}
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends docker-registry \\
 && rm -rf /var/lib/apt/lists/*
COPY registry.yaml /registry.yaml
CMD ["docker-registry", "serve", "/registry.yaml"]
"""


@dataclass(frozen=True)
class Registry:
    """host: as in an image's name; container: the id of the one that it runs in; pid: its process on this host."""

    host: str
    container: str
    pid: int

    def served(self, client: DockerEngine, *, method: str = "GET", path: str = "/blobs/") -> list[dict[str, str]]:
        """Return what its access log says of requests to *path* so far, the oldest first."""
        entries = []
        for line in api(client).logs(self.container).decode().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("http.request.method") == method and path in entry.get("http.request.uri", ""):
                entries.append(entry)
        return entries


@dataclass(frozen=True)
class Registries:
    open: Registry
    login: Registry
    private: Registry
    authority: Path  # the certificate that `private` is signed by


@pytest.fixture(scope="session")
def registry_image(engine: DockerEngine, base_image: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The registry's image; built from the distribution's package, so no other registry is needed for it."""
    request = BuildRequest(
        inputs=BuildInputs(_DOCKERFILE, (ContextFile("registry.yaml", (FOLDER / "registry.yaml").read_bytes()),)),
        base_reference=base_image.reference,
        tags=(IMAGE,),
        labels={"org.mlperf-docker.test": "registry"},
        host=HostSettings.from_environ(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        BuildKitBuilder(engine).build(request, on_event=lambda _: None)
    yield IMAGE
    api(engine).remove_image(IMAGE, force=True)


@pytest.fixture(scope="session")
def registry_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the registries read their passwords and certificates from."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(_HTPASSWD)
    return folder


@pytest.fixture(scope="session")
def registry_ports() -> dict[str, int]:
    """A free port for each registry."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return dict(zip(("open", "login", "private"), found, strict=True))


@pytest.fixture(scope="session")
def docker_compose_command(registry_image: str, registry_settings: Path, registry_ports: dict[str, int]) -> str:
    """Compose of either version, with what compose.yaml wants to know; installed where it is missing and may be."""
    names = {f"{name.upper()}_PORT": str(port) for name, port in registry_ports.items()}
    variables = registry_settings / "variables.env"
    values = {"REGISTRY_IMAGE": registry_image, "SETTINGS": str(registry_settings), **names}
    variables.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return f"{_compose()} --env-file {variables}"


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(FOLDER / "compose.yaml")


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    return ["up --detach"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --volumes"]


@pytest.fixture(scope="session")
def registries(
    engine: DockerEngine,
    docker_services: Services,
    docker_compose_project_name: str,
    registry_settings: Path,
    registry_ports: dict[str, int],
) -> Registries:
    """The registries, each answering."""
    found = {}
    for service, port in registry_ports.items():
        filters = {
            "label": [
                f"com.docker.compose.project={docker_compose_project_name}",
                f"com.docker.compose.service={service}",
            ]
        }
        (container,) = api(engine).containers(filters=filters)
        (network,) = container["NetworkSettings"]["Networks"].values()
        address = network["IPAddress"] if service == "private" else "127.0.0.1"
        pid = api(engine).inspect_container(container["Id"])["State"]["Pid"]
        found[service] = Registry(f"{address}:{port}", container["Id"], pid)
    authority = _certificates(registry_settings, found["private"].host.partition(":")[0])
    for service, registry in found.items():
        scheme = "https" if service == "private" else "http"
        url, verify = f"{scheme}://{registry.host}/v2/", str(authority)
        docker_services.wait_until_responsive(lambda u=url, v=verify: _answers(u, v), timeout=_PATIENCE_S, pause=0.1)
    return Registries(**found, authority=authority)


@pytest.fixture(scope="session")
def other_machine(registries: Registries) -> Iterator[SecondEngine]:
    """An engine with nothing on it, in the network namespace of the open registry."""
    with second_engine(beside=registries.open.pid) as daemon:
        yield daemon


@pytest.fixture
def trusted(registries: Registries) -> Iterator[None]:
    """The private authority is trusted for its registry, by the engine and by us."""
    folder = CERTIFICATES / registries.private.host
    if os.geteuid() != 0:
        pytest.skip("only root may tell the engine whom to trust")
    made = [each for each in (CERTIFICATES.parent, CERTIFICATES, folder) if not each.exists()]
    folder.mkdir(parents=True)
    try:
        shutil.copy(registries.authority, folder / "ca.crt")
        yield
    finally:
        (folder / "ca.crt").unlink()
        for each in reversed(made):
            each.rmdir()


def _compose() -> str:
    """Return the command of Docker Compose, version 2 or 1."""
    if shutil.which("docker") is not None:
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=30)
        if plugin.returncode == 0:
            return "docker compose"
    if shutil.which("docker-compose") is None:
        if not bringup.may_install():
            reason = "the registry tests need docker-compose"
            pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
        _tell("No docker-compose here: installing it with apt-get.")
        bringup.install("docker-compose", _tell)
    return "docker-compose"


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _certificates(folder: Path, address: str) -> Path:
    """Make an authority, and by it a certificate for *address*; return the authority's own certificate."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    ours = ("-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=tests")
    _openssl("req", "-x509", *key, *ours)
    theirs = ("-keyout", folder / "new.key", "-out", folder / "registry.crt", "-subj", f"/CN={address}")
    signed = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-addext", f"subjectAltName=IP:{address}")
    _openssl("req", "-x509", *key, *theirs, *signed)
    (folder / "new.key").rename(folder / "registry.key")  # the registry waits for it, and finds it whole
    return folder / "ca.crt"


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _answers(url: str, authority: str) -> bool:
    try:
        return requests.get(url, verify=authority, timeout=5).status_code in (200, 401)
    except requests.RequestException:
        return False
