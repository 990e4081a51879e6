"""Ask a local engine which images it has, and what it is, without loading docker-py.

docker-py and what it needs take a third of the time that `list` may take, for two GET requests; everything that changes
anything goes through `client.connect`.
"""

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlperf_docker.engine import address
from mlperf_docker.engine.engine import Engine, Images, Message
from mlperf_docker.errors import EngineError

_TIMEOUT_S = 10


class Glance:
    """Inspects images over the engine's own socket, on one connection for all requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = _UnixConnection(path)
        self._listed: dict[str, list[Message]] = {}

    def find_image(self, reference: str) -> Message | None:
        """Return the engine's description of the image, or None where it has no such image. Raises EngineError."""
        status, found = self._get(f"/images/{quote(reference, safe=':@/')}/json")
        if status == http.HTTPStatus.NOT_FOUND:
            return None
        if status != http.HTTPStatus.OK or not isinstance(found, dict):
            raise self._no_engine(status)
        return found

    def images(self, label: str) -> list[Message]:
        """Return the images that have *label*, as they were at the first look. Raises EngineError."""
        if label not in self._listed:
            status, found = self._get(f"/images/json?filters={quote(json.dumps({'label': [label]}))}")
            if status != http.HTTPStatus.OK or not isinstance(found, list):
                raise self._no_engine(status)
            self._listed[label] = found
        return self._listed[label]

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
