"""A web server on loopback that misbehaves as told, over real sockets."""

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PIECE = 8192


@dataclass(frozen=True)
class Behaviour:
    """Answer to one request. The defaults are an honest server's.

    status: instead of the file; stop_after: bytes after which the connection breaks; content_range: what to say
    instead of the truth; ignore_range: send everything; content: other bytes; seconds_a_piece: how slow;
    no_length: leave the length out and close at the end; shift: send a range from so many bytes further on.
    """

    status: int = 200
    stop_after: int | None = None
    content_range: str = ""
    ignore_range: bool = False
    content: bytes | None = None
    seconds_a_piece: float = 0.0
    no_length: bool = False
    shift: int = 0
    location: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Seen:
    """Request as it came."""

    path: str
    range: str | None
    if_range: str | None


@dataclass
class Server:
    """The server: what it serves, how it answers each path, one behaviour a request and the last one for ever."""

    url: str
    content: bytes
    etag: str = '"one"'
    behaviours: dict[str, list[Behaviour]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def address(self, path: str, *behaviours: Behaviour) -> str:
        """Return the address of *path*, which behaves like that from now on."""
        self.behaviours[f"/{path}"] = list(behaviours) or [Behaviour()]
        return f"{self.url}/{path}"

    def next(self, path: str) -> Behaviour:
        queue = self.behaviours.get(path, [Behaviour(status=404)])
        return queue.pop(0) if len(queue) > 1 else queue[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Server

    def do_GET(self) -> None:
        server = self.site
        path = self.path.partition("?")[0]
        server.seen.append(Seen(self.path, self.headers["Range"], self.headers["If-Range"]))
        behaviour = server.next(path)
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client may be killed
            if behaviour.location:
                self._say(302, {"Location": behaviour.location, "Content-Length": "0"})
            elif behaviour.status != 200:
                self._say(behaviour.status, {"Content-Length": "0", **dict(behaviour.headers)})
            else:
                self._serve(behaviour)

    def _serve(self, behaviour: Behaviour) -> None:
        content = self.site.content if behaviour.content is None else behaviour.content
        start = self._start(behaviour)
        headers = {"ETag": self.site.etag, "Content-Type": "application/octet-stream", **dict(behaviour.headers)}
        if start is not None and start >= len(content):
            self._say(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        body = content[(start or 0) + (behaviour.shift if start else 0) :]
        body = body if not start else body.ljust(len(content) - start, b"\0")
        if start is not None:
            truth = f"bytes {start}-{len(content) - 1}/{len(content)}"
            headers["Content-Range"] = behaviour.content_range or truth
        if not behaviour.no_length:
            headers["Content-Length"] = str(len(body))
        self._say(200 if start is None else 206, headers)
        self._send(body if behaviour.stop_after is None else body[: behaviour.stop_after], behaviour.seconds_a_piece)

    def _start(self, behaviour: Behaviour) -> int | None:
        asked = self.headers["Range"]
        stale = self.headers["If-Range"] not in (None, self.site.etag)
        if asked is None or behaviour.ignore_range or stale:
            return None
        return int(asked.removeprefix("bytes=").rstrip("-"))

    def _say(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, body: bytes, seconds_a_piece: float) -> None:
        for at in range(0, len(body), _PIECE):
            self.wfile.write(body[at : at + _PIECE])
            if seconds_a_piece:
                self.wfile.flush()
                time.sleep(seconds_a_piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's word
        pass


@contextlib.contextmanager
def serving(content: bytes, certificate: Path | None = None) -> Iterator[Server]:
    """Run a server that has *content*, on a free port of loopback; with a *certificate* (and its key), over TLS."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        site = Server(f"{scheme}://127.0.0.1:{http.server_address[1]}", content)
        handler.site = site  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            http.shutdown()
            thread.join()
