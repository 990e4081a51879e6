"""The connection to the Docker engine: found as the docker command finds it, and checked before it is used."""

import json
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import docker
from docker.context import Context, ContextAPI
from docker.errors import APIError, DockerException, ImageNotFound, InvalidVersion, TLSParameterError
from docker.utils import config as library_config
from docker.utils import kwargs_from_env
from requests import PreparedRequest, Response
from requests.exceptions import ChunkedEncodingError, RequestException, Timeout
from requests.exceptions import ConnectionError as RequestsConnectionError

from mlperf_docker.engine.local_images import OUR_IMAGES
from mlperf_docker.engine.surroundings import security_modes
from mlperf_docker.errors import DeviceError, EngineError
from mlperf_docker.registry.client import Registries
from mlperf_docker.registry.logins import engine_header
from mlperf_docker.registry.references import host_of
from mlperf_docker.system import docker_config, network_errors

DEFAULT_HOST = "unix:///var/run/docker.sock"
_TIMEOUT_S = 60
_FIRST_TIMEOUT_S = 10  # an engine that is there says so at once
_SILENCE_S = 7200  # of a build: pip installs gigabytes without a word, but not for two hours; and of saving images
_TRANSFER_SILENCE_S = 600  # of a pull or push: every layer tells how far it is
_CHUNK_BYTES = 2**20
_TAR = {"Content-Type": "application/x-tar"}
_MINIMUM_API = (1, 40)  # Engine 19.03, the first whose BuildKit this tool was tried with
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


_ANOTHER_ENGINE = "Point DOCKER_HOST at a Docker engine, and see whether a proxy stands before it."


class EngineDownError(EngineError):
    """No engine answers: starting one would help, which is not so of one that is too old or somebody else's."""


class EngineGoneError(EngineError, RequestsConnectionError):
    """The engine went away between two requests, or in one.

    Also what docker-py would raise, as some know more to say of it.
    """

    def __init__(self, error: RequestException) -> None:
        super().__init__(
            f"The Docker engine went away: {network_errors.of_the_system(error) or error}",
            hint="See: mlperf-docker doctor",
        )


class EngineSilentError(EngineError, Timeout):
    """The engine did not answer a request in time. Also what docker-py would raise."""

    def __init__(self, error: RequestException) -> None:
        super().__init__(f"The Docker engine does not answer: {error}", hint="See: mlperf-docker doctor")


class Engine(docker.APIClient):
    """docker-py's client, and the calls that it lacks. Raises EngineError where the engine is gone, at any request."""

    # Private parts of docker-py, which its type stubs leave out.
    _get: Callable[..., Any]
    _post: Callable[..., Any]
    _url: Callable[..., str]
    _raise_for_status: Callable[..., None]
    _stream_helper: Callable[..., Iterator[dict[str, Any]]]

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # noqa: ANN401  # as requests has it
        """Send *request*, as every method of the client does. Raises EngineGoneError and EngineSilentError."""
        try:
            return super().send(request, **options)
        except Timeout as error:
            raise EngineSilentError(error) from error
        except (RequestsConnectionError, ChunkedEncodingError) as error:
            raise EngineGoneError(error) from error

    def find_image(self, reference: str) -> dict[str, Any] | None:
        """Return the engine's description of the image, or None where it has no such image."""
        try:
            return dict(self.inspect_image(reference))  # type: ignore[no-untyped-call]  # its stubs leave it so
        except ImageNotFound:
            return None

    def our_labels(self) -> list[dict[str, str]]:
        """Return the labels of every image on the engine that this tool built."""
        return [dict(each["Labels"]) for each in self.images(filters=OUR_IMAGES)]

    def export_images(self, tags: Sequence[str]) -> Generator[bytes]:
        """Yield the images *tags* as one archive. docker-py's own get_image() takes a single one."""
        response = self._get(
            self._url("/images/get"), params={"names": list(tags)}, stream=True, timeout=(_TIMEOUT_S, _SILENCE_S)
        )
        try:
            self._raise_for_status(response)
            yield from response.iter_content(_CHUNK_BYTES)
        finally:
            response.close()

    def import_images(self, archive: Iterator[bytes]) -> Generator[dict[str, Any]]:
        """Hand the engine an archive of images, and yield its messages. docker-py's load_image() has no patience."""
        quiet = {"quiet": "1"}  # the answer comes after the archive, and what is said before is never read
        yield from self._messages("/images/load", quiet, _TAR, _SILENCE_S, archive)

    def registries(self, say: Callable[[str], None]) -> Registries:
        """Return the registries as this engine sees them. say: told of every attempt that is repeated."""
        version, trust = self.version(), self.info().get("RegistryConfig") or {}
        return Registries(trust, f"{version.get('Os', 'linux')}/{version.get('Arch', 'unknown')}", say)

    def build_with_buildkit(
        self, context: IO[bytes], parameters: dict[str, str | list[str]]
    ) -> Generator[dict[str, Any]]:
        """Build with BuildKit and yield the engine's messages.

        `POST /build?version=2` with an ordinary tar as body, and no session. Closing the iterator cancels the build.
        """
        # docker-py's own build() has no parameter for the builder's version; these are the methods that it is made of.
        yield from self._messages("/build", {"version": "2", **parameters}, _TAR, _SILENCE_S, context)

    def build_with_buildah(
        self, context: IO[bytes], parameters: dict[str, str | list[str]]
    ) -> Generator[dict[str, Any]]:
        """Build with Podman's Buildah and yield the engine's messages: the same request without a builder's version."""
        yield from self._messages("/build", parameters, _TAR, _SILENCE_S, context)

    def pull_image(self, name: str, tag: str) -> Generator[dict[str, Any]]:
        """Pull one image with docker's own login and yield the engine's messages. tag: a tag or a digest.

        Closing the iterator cancels the pull, which docker-py's own pull() leaves to chance. Raises RegistryError where
        the login cannot be read.
        """
        yield from self._messages("/images/create", {"fromImage": name, "tag": tag}, _login_header(name))

    def push_image(self, name: str, tag: str) -> Generator[dict[str, Any]]:
        """Push one tag with docker's own login; otherwise like `pull_image`."""
        yield from self._messages(f"/images/{name}/push", {"tag": tag}, _login_header(name))

    def _messages(
        self,
        path: str,
        parameters: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        silence_s: float = _TRANSFER_SILENCE_S,
        data: IO[bytes] | Iterator[bytes] | None = None,
    ) -> Generator[dict[str, Any]]:
        """POST and yield the messages of the answer. Whoever closes the iterator closes the connection."""
        response = self._post(
            self._url(path),
            data=data,
            params=parameters,
            headers=headers,
            stream=True,
            timeout=(_TIMEOUT_S, silence_s),
        )
        try:
            self._raise_for_status(response)
            yield from self._stream_helper(response, decode=True)
        finally:
            response.close()

    def prune_build_cache(self, filters: dict[str, list[str]]) -> None:
        """Remove the records of BuildKit's cache that *filters* choose. docker-py's own call takes no filters."""
        self._raise_for_status(
            self._post(self._url("/build/prune"), params={"all": "1", "filters": json.dumps(filters)})
        )


@dataclass(frozen=True)
class EngineFacts:
    """What the engine says of itself. name: Docker or Podman; builder: "" where it has none that serves us.

    data_root: None where it is not on this host. security: what it does about users, as `security_modes` says.
    """

    name: str
    version: str
    api_version: str
    storage_driver: str
    builder: str
    has_gpu_runtime: bool
    data_root: Path | None
    security: frozenset[str] = frozenset()


def connect() -> Engine:
    """Return a client of the engine that docker itself would use.

    Raises EngineDownError where none answers, and EngineError where one does that cannot serve us.
    """
    host = _host()
    _check_address(host)
    _check_socket(host)
    try:
        with _without_configuration():
            client = Engine(**_arguments(host), version="auto", timeout=_FIRST_TIMEOUT_S)
    except InvalidVersion as error:  # so old that the library does not speak to it
        raise _too_old(str(error)) from error
    except TLSParameterError as error:
        raise EngineError(
            f"The certificates for the Docker engine at {host} cannot be used: {str(error).strip()}",
            hint="Correct or unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.",
        ) from error
    except (DockerException, OSError, ValueError) as error:
        remedy = "Start it (systemctl start docker)" if _is_local(host) else "See whether it listens there"
        raise EngineDownError(
            f"No Docker engine answers at {host}: {network_errors.of_the_system(error) or error}",
            hint=f"{remedy}, or point DOCKER_HOST at another one. See: mlperf-docker doctor",
        ) from error
    client.timeout = _TIMEOUT_S
    _check_version(client)
    return client


def facts(client: Engine | None = None) -> EngineFacts:
    """Ask the engine about itself. Raises EngineError where it cannot be asked."""
    client = client or connect()
    try:
        return _facts(client.version(), client.info())
    except APIError as error:
        raise EngineError(
            f"The Docker engine does not tell about itself: {explanation(error)}", hint=_ANOTHER_ENGINE
        ) from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:  # anything may listen at an address
        raise EngineError(
            f"What answers at {_host()} does not speak as a Docker engine does: {error}", hint=_ANOTHER_ENGINE
        ) from error


def _facts(version: dict[str, Any], info: dict[str, Any]) -> EngineFacts:
    return EngineFacts(
        name="Podman" if _is_podman(version) else "Docker",
        version=version.get("Version", "unknown"),
        api_version=version.get("ApiVersion", "unknown"),
        storage_driver=info.get("Driver", "unknown"),
        builder="BuildKit" if _has_buildkit(version) else "Buildah" if _is_podman(version) else "",
        has_gpu_runtime=_has_gpu_runtime(info),
        data_root=Path(info["DockerRootDir"]) if _is_local(_host()) and info.get("DockerRootDir") else None,
        security=frozenset(security_modes(info)),
    )


def require_buildkit(client: Engine) -> None:
    """Raise EngineError unless the engine can build with BuildKit."""
    version = client.version()
    if not _has_buildkit(version):
        raise EngineError(
            f"The engine ({version.get('Version', 'unknown')}) cannot build with BuildKit.",
            hint="Use Docker Engine 20.10 or later, or run prebuilt images: mlperf-docker run --pull always",
        )


def is_podman(client: Engine) -> bool:
    """Tell whether Podman answers: to the same API, with a builder of its own."""
    return _is_podman(client.version())


def require_gpu_runtime(client: Engine) -> None:
    """Raise DeviceError unless the engine can hand a GPU to a container, as far as can be told beforehand."""
    if not _has_gpu_runtime(client.info()):
        raise DeviceError(
            "--device cuda needs a GPU, and this engine has no GPU runtime.",
            hint="Install the NVIDIA Container Toolkit and restart the engine; or run with --device cpu.",
        )
    if _is_local(_host()) and not any(device.exists() for device in _GPU_DEVICES):
        raise DeviceError(
            "--device cuda needs a GPU, and this host has none (no /dev/nvidiactl).",
            hint="Install the NVIDIA driver, or run with --device cpu.",
        )


def _login_header(name: str) -> dict[str, str]:
    return {"X-Registry-Auth": engine_header(host_of(name))}


def _host() -> str:
    """Return the engine's address: DOCKER_HOST, else the current docker context, else the system's socket."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    return _context().Host or DEFAULT_HOST


def _context() -> Context:
    """Return the docker context in use. Raises EngineError where there is no such context."""
    name = os.environ.get("DOCKER_CONTEXT") or docker_config.load().context
    try:
        context: Context | None = ContextAPI.get_context(name or "default")
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


def _arguments(host: str) -> dict[str, Any]:
    """Return what docker-py's client takes; a context may bring certificates of its own."""
    arguments = {**kwargs_from_env(), "base_url": host.replace("unix://", "http+unix://", 1)}
    certificates = None if os.environ.get("DOCKER_HOST") else _context().TLSConfig
    return {**arguments, "tls": certificates} if certificates else arguments


def _is_local(host: str) -> bool:
    return host.startswith("unix://")


@contextmanager
def _without_configuration() -> Iterator[None]:
    """Keep docker-py from docker's configuration file while it makes a client.

    One login in it that cannot be read would be the end of that, though none is needed; they are looked up for each
    registry, in `logins`. And its proxies would be handed to containers, passwords and all.
    """
    read = library_config.load_general_config

    def nothing(config_path: object = None) -> dict[str, Any]:  # noqa: ARG001  # the library's own parameter
        return {"auths": {}}

    library_config.load_general_config = nothing
    try:
        yield
    finally:
        library_config.load_general_config = read


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
    try:
        docker.utils.parse_host(host)
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


def _check_socket(host: str) -> None:
    """Say precisely what is wrong with a local socket; the library's own message is a chain of three exceptions."""
    if not _is_local(host):
        return
    path = Path(host.removeprefix("unix://"))
    if not path.exists():
        installed = shutil.which("dockerd") is not None
        remedy = "Start it: systemctl start docker" if installed else "Install one: apt-get install docker.io"
        raise EngineDownError(f"No Docker engine is running: {path} does not exist.", hint=remedy)
    if not os.access(path, os.R_OK | os.W_OK):
        raise EngineError(
            f"You may not use the Docker engine at {path}.",
            hint="Join its group (usermod -aG docker $USER, then log in again), or run as root.",
        )


def _check_version(client: Engine) -> None:
    api = tuple(int(part) for part in client.api_version.split("."))
    if api < _MINIMUM_API:
        raise _too_old(f"its API is {client.api_version}, and 1.40 is needed.")


def _too_old(reason: str) -> EngineError:
    return EngineError(f"The Docker engine is too old: {reason}", hint="Use Docker Engine 20.10 or later.")


def _has_buildkit(version: dict[str, Any]) -> bool:
    return version.get("Os", "linux") == "linux" and not _is_podman(version)


def _is_podman(version: dict[str, Any]) -> bool:
    names = {component.get("Name", "") for component in version.get("Components") or ()}
    return any("podman" in name.lower() for name in names)


def _has_gpu_runtime(info: dict[str, Any]) -> bool:
    """Whether the engine knows NVIDIA's runtime or its CDI devices; the hook alone shows only on this host."""
    devices = (str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ())
    return (
        "nvidia" in (info.get("Runtimes") or {})
        or any(device.startswith("nvidia.com/gpu") for device in devices)
        or (_is_local(_host()) and shutil.which("nvidia-container-runtime-hook") is not None)
    )


def explanation(error: DockerException) -> str:
    """Return the engine's own words; it answers in JSON, docker-py sometimes hands that on as it is."""
    text = str(getattr(error, "explanation", None) or error)
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
