"""Read-only client of a local engine's socket, without docker-py.

Importing docker-py would take a third of the time that `list` may take, for a few GET requests. Whatever changes the
engine goes through `client.connect`.
"""

import contextlib
import http.client
import json
import socket
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlperf_docker.engine import address
from mlperf_docker.engine.engine import Engine, Images, Message
from mlperf_docker.errors import EngineError
from mlperf_docker.registry.references import familiar

_TIMEOUT_S = 10


class Glance:
    """Inspects images over the engine's own socket, on one connection for all requests.

    Everything is as it was at the first look: one list of all images tells of most names that they are not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _UnixConnection(path)
        self._found: dict[str, Message | None] = {}

    def find_image(self, reference: str) -> Message | None:
        """Return the engine's description of the image, or None where it has no such image. Raises EngineError."""
        if reference not in self._found:
            self._found[reference] = None if self._is_unlisted(reference) else self._inspect(reference)
        return self._found[reference]

    def images(self, label: str) -> list[Message]:
        """Return the images that have *label*, `name` or `name=value`. Raises EngineError."""
        return [
            each
            for each in self._listed
            if any(label in (name, f"{name}={value}") for name, value in (each["Labels"] or {}).items())
        ]

    def _is_unlisted(self, reference: str) -> bool:
        """Tell whether *reference* is a name with a tag that no image has. Digests and ids have to be asked for."""
        is_tag = ":" in reference.rpartition("/")[2] and "@" not in reference and not reference.startswith("sha256:")
        return is_tag and familiar(reference) not in self._tags

    @cached_property
    def _tags(self) -> set[str]:
        """All names with tags. Podman puts `localhost/` before those without a host."""
        tags = {familiar(tag) for each in self._listed for tag in each["RepoTags"] or ()}
        return tags | {tag.removeprefix("localhost/") for tag in tags}

    @cached_property
    def _listed(self) -> list[Message]:
        status, found = self._get("/images/json")
        if status != http.HTTPStatus.OK or not isinstance(found, list):
            raise self._no_engine(status)
        return found

    def _inspect(self, reference: str) -> Message | None:
        status, found = self._get(f"/images/{quote(reference, safe=':@/')}/json")
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status != http.HTTPStatus.OK or not isinstance(found, dict):
            raise self._no_engine(status)
        return found

    def info(self) -> Message:
        """Return what the engine says of itself. Raises EngineError."""
        status, found = self._get("/info")
        if status != http.HTTPStatus.OK or not isinstance(found, dict):
            raise self._no_engine(status)
        return found

    def _get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of the engine's answer; None for what is no JSON."""
        try:
            status, body = self._exchange(path)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"No Docker engine answers at {self._path}: {error}") from error
        with contextlib.suppress(ValueError):
            return status, json.loads(body)
        return status, None

    def _exchange(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body; asked again on a new connection where the engine closed an idle one."""
        reused = self._connection.sock is not None
        try:
            # Without a version in the path, an engine of any age answers in its own: newer ones refuse old versions.
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            if reused:
                return self._exchange(path)
            raise

    def _no_engine(self, status: int) -> EngineError:
        return EngineError(
            f"What answers at {self._path} does not know images: HTTP {status}", hint="See: mlperf-docker doctor"
        )


def images() -> Images:
    """Return the quickest way to look at the engine's images: its plain socket, else docker-py. Raises EngineError."""
    return _engine()


def info() -> Message:
    """Return what the engine says of itself, as quickly; nothing where none answers."""
    try:
        return dict(_engine().info())
    except EngineError:
        return {}


def _engine() -> Glance | Engine:
    host = address.engine_host()
    if address.is_local(host):
        address.check_socket(address.socket_path(host))
        return Glance(address.socket_path(host))
    from mlperf_docker.engine.client import connect

    return connect()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))
