"""Address of the Docker engine: found as the docker command finds it, and checked before it is used.

docker-py is imported only for a docker context, and for an address that is not a local socket.
"""

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlperf_docker.engine.engine import EngineDownError
from mlperf_docker.errors import EngineError
from mlperf_docker.system import docker_config

if TYPE_CHECKING:
    from docker.context import Context

DEFAULT_HOST = "unix:///var/run/docker.sock"


def engine_host() -> str:
    """Return the engine's address: DOCKER_HOST, else the current docker context, else the system's socket."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    return (has_context() and _context().Host) or DEFAULT_HOST


def has_context() -> bool:
    """Tell whether a docker context points somewhere else than at the system's socket."""
    return _context_name() not in ("", "default")


def is_local(host: str) -> bool:
    """Tell whether *host* is a socket on this machine."""
    return host.startswith("unix://")


def socket_path(host: str) -> Path:
    """Return the socket that the local address *host* names."""
    return Path(host.removeprefix("unix://"))


def connection_arguments(host: str) -> dict[str, Any]:
    """Return what docker-py's client takes to reach *host*; a context may bring certificates of its own."""
    from docker.utils import kwargs_from_env

    arguments = {**kwargs_from_env(), "base_url": host.replace("unix://", "http+unix://", 1)}
    certificates = None if os.environ.get("DOCKER_HOST") else _context().TLSConfig
    return {**arguments, "tls": certificates} if certificates else arguments


def check(host: str) -> None:
    """Raise EngineError unless *host* is an address that an engine can be asked at, and may be used."""
    _check_address(host)
    if is_local(host):
        check_socket(socket_path(host))


def check_socket(path: Path) -> None:
    """Say precisely what is wrong with a local socket; the library's own message is a chain of three exceptions."""
    if not path.exists():
        installed = shutil.which("dockerd") is not None
        remedy = "Start it: systemctl start docker" if installed else "Install one: apt-get install docker.io"
        raise EngineDownError(f"No Docker engine is running: {path} does not exist.", hint=remedy)
    if not os.access(path, os.R_OK | os.W_OK):
        raise EngineError(
            f"You may not use the Docker engine at {path}.",
            hint="Join its group (usermod -aG docker $USER, then log in again), or run as root.",
        )


def _context_name() -> str:
    return os.environ.get("DOCKER_CONTEXT") or docker_config.load().context


def _context() -> "Context":
    """Return the docker context in use. Raises EngineError where there is no such context."""
    from docker.context import ContextAPI

    name = _context_name() or "default"
    try:
        context: Context | None = ContextAPI.get_context(name)
    except Exception as error:  # that is what the library raises for a damaged file
        raise EngineError(
            f"The docker context {name!r} cannot be read: {error}",
            hint="Choose another one: docker context ls, docker context use NAME.",
        ) from error
    if context is None:
        raise EngineError(
            f"There is no docker context {name!r}.",
            hint="Choose another one: docker context ls, docker context use NAME.",
        )
    return context


def _check_address(host: str) -> None:
    """Raise EngineError unless *host* is an address that an engine can be asked at."""
    if host.lower().startswith("ssh://"):
        raise EngineError(
            f"This tool does not reach a Docker engine by ssh: {host}",
            hint=f"Forward its socket (ssh -fnNT -L /tmp/docker.sock:/var/run/docker.sock {_ssh_target(host)}) and set"
            " DOCKER_HOST=unix:///tmp/docker.sock. Data sets, model files and results must lie on the engine's host, at"
            " the same paths as here. Or install this tool there.",
        )
    if not _is_address(host):
        raise EngineError(
            f"{host!r} is no address of a Docker engine.",
            hint=f"Write {'DOCKER_HOST' if os.environ.get('DOCKER_HOST') else 'the host of the docker context'} as"
            " unix:///path/of/docker.sock or tcp://host:port, or unset it.",
        )


def _is_address(host: str) -> bool:
    """Tell whether *host* has the form of an address that the library takes here."""
    from docker.errors import DockerException
    from docker.utils import parse_host

    try:
        parse_host(host)
        urlsplit(host).port  # noqa: B018  # raises for what is no number
    except (DockerException, ValueError):
        return False
    return re.search(r"\s", host) is None and host != "unix://" and not host.lower().startswith("npipe:")


def _ssh_target(host: str) -> str:
    """Return what the ssh command takes for *host*, without a password."""
    at = urlsplit(host)
    name = f"{at.username}@{at.hostname}" if at.username else str(at.hostname or "HOST")
    return f"-p {port} {name}" if (port := _port(host)) else name


def _port(host: str) -> int | None:
    try:
        return urlsplit(host).port
    except ValueError:
        return None
