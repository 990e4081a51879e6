"""Client of the Docker engine, and the one place that calls docker-py."""

import codecs
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from docker import APIClient
from docker.errors import (
    DockerException,
    InvalidVersion,
    NotFound,
    StreamParseError,
    TLSParameterError,
    create_api_error_from_http_exception,
)
from docker.utils import config as library_config
from docker.utils.json_stream import json_stream
from docker.utils.socket import demux_adaptor, frames_iter
from requests import HTTPError, Response
from requests.exceptions import ChunkedEncodingError, Timeout
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3.exceptions import HTTPError as StreamError
from urllib3.exceptions import TimeoutError as StreamTimeout

from mlperf_docker.engine import address
from mlperf_docker.engine.engine import (
    EngineDownError,
    EngineGoneError,
    EngineRefusedError,
    EngineSilentError,
    Message,
    NotOnEngineError,
    Output,
)
from mlperf_docker.errors import EngineError
from mlperf_docker.registry.client import RegistryClient
from mlperf_docker.registry.logins import engine_header
from mlperf_docker.registry.references import host_of, parted
from mlperf_docker.system import network_errors as causes

_TIMEOUT_S = 60
_FIRST_TIMEOUT_S = 10  # an engine that is there says so at once
_SILENCE_S = 7200  # of a build: pip installs gigabytes without a word, but not for two hours; and of saving images
_TRANSFER_SILENCE_S = 600  # of a pull or push: every layer tells how far it is
_IMPORT_SILENCE_S = 900  # it answers when all is unpacked
_CHUNK_BYTES = 2**20
_TAR = {"Content-Type": "application/x-tar"}
_STREAMS = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 1}
_MINIMUM_API = (1, 40)  # Engine 19.03, the first whose BuildKit this tool was tried with
_Item = TypeVar("_Item")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what docker-py and the libraries below it raise into this tool's errors."""
    try:
        yield
    except NotFound as error:
        raise NotOnEngineError(_explanation(error)) from error
    except DockerException as error:
        raise EngineRefusedError(_explanation(error)) from error
    except Timeout as error:
        raise EngineSilentError(str(error)) from error
    except StreamTimeout as error:
        raise EngineSilentError(str(error), answering=True) from error
    except RequestsConnectionError as error:
        raise EngineGoneError(_reason(error)) from error
    except (ChunkedEncodingError, StreamError, StreamParseError) as error:
        raise EngineGoneError(_reason(error), answering=True) from error


def _each(items: Iterable[_Item]) -> Generator[_Item]:
    with translated():
        yield from items


class DockerEngine:
    """An engine that speaks Docker's API, asked by docker-py's client or, where that lacks a call, by its session."""

    def __init__(self, client: APIClient) -> None:
        self._client = client

    def version(self) -> Message:
        """Return the engine's version, API version, platform and components."""
        with translated():
            return self._client.version()

    def info(self) -> Message:
        """Return what the engine says of itself and of its host."""
        with translated():
            return self._client.info()

    def disk_usage(self) -> Message:
        """Return what images, containers, volumes and the build cache take."""
        with translated():
            return self._client.df()

    def registries(self, say: Callable[[str], None]) -> RegistryClient:
        """Return the registries as this engine sees them. say: told of every attempt that is repeated."""
        version, trust = self.version(), self.info().get("RegistryConfig") or {}
        return RegistryClient(trust, f"{version.get('Os', 'linux')}/{version.get('Arch', 'unknown')}", say)

    def find_image(self, reference: str) -> Message | None:
        """Return the engine's description of the image, or None where it has no such image."""
        try:
            with translated():
                return dict(self._client.inspect_image(reference))  # type: ignore[no-untyped-call]
        except NotOnEngineError:
            return None

    def images(self, label: str) -> list[Message]:
        """Return the images that have *label*, a key or `key=value`."""
        with translated():
            return list(self._client.images(filters={"label": label}))

    def history(self, image: str) -> list[Message]:
        """Return the steps that *image* was made by, the last first."""
        with translated():
            return list(self._client.history(image))  # type: ignore[no-untyped-call]

    def tag(self, image: str, reference: str) -> None:
        """Give *image* the name *reference*, `name:tag`."""
        name, _, tag = parted(reference)
        with translated():
            self._client.tag(image, name, tag)

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        """Take one name away, and with the last one the image. parents: whether untagged ones below go with it."""
        with translated():
            self._client.remove_image(image, noprune=not parents)

    def import_root(self, archive: Path, reference: str, changes: Sequence[str]) -> Generator[Message]:
        """Make an image of the root file system *archive*. changes: lines of a Dockerfile."""
        name, _, tag = parted(reference)
        parameters: dict[str, str | list[str]] = {"fromSrc": "-", "repo": name, "tag": tag, "changes": list(changes)}
        with archive.open("rb") as file:
            yield from self._messages("/images/create", parameters, _TAR, _IMPORT_SILENCE_S, file)

    def export_images(self, tags: Sequence[str]) -> Generator[bytes]:
        """Yield the images *tags* as one archive. docker-py's own get_image() takes a single one."""
        with translated():
            response = self._client.get(
                self._url("/images/get"), params={"names": list(tags)}, stream=True, timeout=(_TIMEOUT_S, _SILENCE_S)
            )
            try:
                _raise_for_status(response)
                yield from response.iter_content(_CHUNK_BYTES)
            finally:
                response.close()

    def import_images(self, archive: Iterator[bytes]) -> Generator[Message]:
        """Hand the engine an archive of images, and yield its messages. docker-py's load_image() has no patience."""
        quiet = {"quiet": "1"}  # the answer comes after the archive, and what is said before is never read
        return self._messages("/images/load", quiet, _TAR, _SILENCE_S, archive)

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        """Pull one image with docker's own login. tag: a tag or a digest. Raises RegistryError for a broken login.

        docker-py's own pull() leaves it to chance whether closing the iterator cancels it.
        """
        yield from self._messages("/images/create", {"fromImage": name, "tag": tag}, _login_header(name))

    def push_image(self, name: str, tag: str) -> Generator[Message]:
        """Push one tag with docker's own login. Raises RegistryError for a broken login."""
        yield from self._messages(f"/images/{name}/push", {"tag": tag}, _login_header(name))

    def build(self, context: IO[bytes], parameters: Mapping[str, str | list[str]]) -> Generator[Message]:
        """Build from the tar *context*, which docker-py's own call does with no parameter for the builder's version."""
        return self._messages("/build", parameters, _TAR, _SILENCE_S, context)

    def remove_build_cache(self, record: str) -> None:
        """Remove a record of BuildKit's cache, unless something stands on it. docker-py's call takes no filters."""
        parameters = {"all": "1", "filters": json.dumps({"id": [record]})}
        with translated():
            _raise_for_status(self._client.post(self._url("/build/prune"), params=parameters, timeout=_TIMEOUT_S))

    def containers(self, *, label: str | None = None, sizes: bool = False) -> list[Message]:
        """Return all containers, running or not, that have *label*. sizes: whether to measure what each has written."""
        filters = {"label": label} if label else {}
        with translated():
            return list(self._client.containers(all=True, size=sizes, filters=filters))

    def create_container(self, name: str, configuration: Mapping[str, Any]) -> None:
        """Create a container. configuration: the body of `POST /containers/create`."""
        with translated():
            self._client.create_container_from_config(dict(configuration), name)  # type: ignore[no-untyped-call]

    def attach(self, container: str) -> Iterator[Output]:
        """Open the container's stdin, held open until it ends or this process does, and yield what it prints."""
        with translated():
            stream = self._client.attach_socket(container, params=_STREAMS)
        return _each(demux_adaptor(*frame) for frame in frames_iter(stream, tty=False))  # type: ignore[no-untyped-call]

    def events(self, container: str) -> Iterator[Message]:
        """Open the container's events, and yield them. A connection that breaks ends them."""
        with translated():
            return self._client.events(filters={"container": container}, decode=True)

    def start(self, container: str) -> None:
        """Start a container that was created."""
        with translated():
            self._client.start(container)

    def stop(self, container: str, timeout_s: int) -> None:
        """Ask a container to end, and kill it after *timeout_s*."""
        with translated():
            self._client.stop(container, timeout=timeout_s)

    def wait_until_removed(self, container: str, timeout_s: int) -> None:
        """Return once a container is gone."""
        with translated():
            self._client.wait(container, condition="removed", timeout=timeout_s)

    def remove_container(self, container: str, *, force: bool = False) -> None:
        """Remove a container and none of its named volumes. force: also one that runs."""
        with translated():
            self._client.remove_container(container, force=force)

    def export_container(self, container: str) -> Iterator[bytes]:
        """Yield the container's file system as a tar archive."""
        with translated():
            return _each(self._client.export(container))

    def read_path(self, container: str, path: str) -> Iterator[bytes]:
        """Yield *path* of the container as a tar archive."""
        with translated():
            chunks, _ = self._client.get_archive(container, path)
        return _each(chunks)

    def volumes(self, label: str) -> list[Message]:
        """Return the volumes that have *label*."""
        with translated():
            return list(self._client.volumes(filters={"label": label})["Volumes"] or ())

    def remove_volume(self, volume: str) -> None:
        """Remove a volume."""
        with translated():
            self._client.remove_volume(volume)

    def networks(self, label: str) -> list[Message]:
        """Return the networks that have *label*, each with its containers, which the engine's list leaves out."""
        with translated():
            found = self._client.networks(filters={"label": label})
            return [dict(self._client.inspect_network(each["Id"])) for each in found]

    def remove_network(self, network: str) -> None:
        """Remove a network."""
        with translated():
            self._client.remove_network(network)

    def _url(self, path: str) -> str:
        return f"{self._client.base_url}/v{self._client.api_version}{path}"

    def _messages(
        self,
        path: str,
        parameters: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        silence_s: float = _TRANSFER_SILENCE_S,
        data: IO[bytes] | Iterator[bytes] | None = None,
    ) -> Generator[Message]:
        """POST and yield the messages of the answer. Closing the iterator closes the connection."""
        with translated():
            response = self._client.post(
                self._url(path),
                data=data,
                params=parameters,
                headers=headers,
                stream=True,
                timeout=(_TIMEOUT_S, silence_s),
            )
            try:
                _raise_for_status(response)
                text = codecs.iterdecode(response.raw.stream(amt=None), "utf-8", errors="replace")
                yield from (message for message in json_stream(text) if isinstance(message, dict))
            finally:
                response.close()


def connect() -> DockerEngine:
    """Return a client of the engine that docker itself would use.

    Raises EngineDownError where none answers, and EngineError where one does that cannot serve us.
    """
    host = address.engine_host()
    address.check(host)
    try:
        with _without_configuration():
            client = APIClient(**address.connection_arguments(host), version="auto", timeout=_FIRST_TIMEOUT_S)
    except InvalidVersion as error:  # so old that the library does not speak to it
        raise _too_old(str(error)) from error
    except TLSParameterError as error:
        raise EngineError(
            f"The certificates for the Docker engine at {host} cannot be used: {str(error).strip()}",
            hint="Correct or unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.",
        ) from error
    except (DockerException, OSError, ValueError) as error:
        remedy = "Start it (systemctl start docker)" if address.is_local(host) else "See whether it listens there"
        raise EngineDownError(
            f"No Docker engine answers at {host}: {_reason(error)}",
            hint=f"{remedy}, or point DOCKER_HOST at another one. See: mlperf-docker doctor",
        ) from error
    client.timeout = _TIMEOUT_S
    _check_version(client.api_version)
    return DockerEngine(client)


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


def _check_version(version: str) -> None:
    if tuple(int(part) for part in version.split(".")) < _MINIMUM_API:
        raise _too_old(f"its API is {version}, and 1.40 is needed.")


def _too_old(reason: str) -> EngineError:
    return EngineError(f"The Docker engine is too old: {reason}", hint="Use Docker Engine 20.10 or later.")


def _login_header(name: str) -> dict[str, str]:
    return {"X-Registry-Auth": engine_header(host_of(name))}


def _raise_for_status(response: Response) -> None:
    """Raise docker-py's error where the engine refuses."""
    try:
        response.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)


def _reason(error: Exception) -> str:
    return causes.of_the_system(error) or str(error)


def _explanation(error: DockerException) -> str:
    """Return the engine's own words; it answers in JSON, docker-py sometimes hands that on as it is."""
    text = str(getattr(error, "explanation", None) or error)
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
