"""An engine as seen on the wire: a tiny HTTP server on a unix socket that answers what a test tells it to."""

import json
import re
import socketserver
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

_VERSION = re.compile(r"^/v\d+\.\d+")
# As a Docker Engine 20.10.24 answers, cut down to what is looked at.
MODERN: dict[str, Any] = {
    "/version": {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Components": []},
    "/info": {"Driver": "overlay2", "Runtimes": {"runc": {}}, "DockerRootDir": "/var/lib/docker"},
    "/_ping": "OK",
}
OLD = {**MODERN, "/version": {"Version": "18.09.9", "ApiVersion": "1.39", "MinAPIVersion": "1.12", "Os": "linux"}}
ANCIENT = {**MODERN, "/version": {"Version": "1.9.1", "ApiVersion": "1.21", "Os": "linux"}}
PODMAN = {
    **MODERN,
    "/version": {
        "Version": "4.3.1",
        "ApiVersion": "1.41",
        "Os": "linux",
        "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon", "Version": "2.1.6"}],
    },
}
WINDOWS = {**MODERN, "/version": {**MODERN["/version"], "Os": "windows"}}


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        answer = self.server.answers.get(_VERSION.sub("", self.path.partition("?")[0]))
        body = (answer if isinstance(answer, str) else json.dumps(answer or {"message": "page not found"})).encode()
        self.send_response(200 if answer is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Begin to answer a build, and break off within the answer."""
        self.rfile.read1()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = b'{"stream": "begun"}\r\n'
        self.wfile.write(b"%x\r\n%s\r\n40\r\n{" % (len(line), line))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answers: Mapping[str, Any]

    def get_request(self) -> Any:
        connection, _ = super().get_request()
        return connection, ("unix", 0)  # the handler prints an address; a unix socket's is empty


@contextmanager
def serving(path: Path, answers: Mapping[str, Any]) -> Iterator[str]:
    """Serve *answers*, API path → JSON value or text, at the socket *path*; yields its address for DOCKER_HOST."""
    with _Server(str(path), _Handler) as server:
        server.answers = answers
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)
