"""A Kubernetes API server over HTTP, with what Jobs need of controller and kubelet: its pods really run.

Jobs, pods, logs that are followed, watches, deletion; errors are Status objects. A manifest that Kubernetes' own
schemas refuse is refused here. There is no scheduler to speak of: a pod goes to the first node that is free for it.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from tests.fakes.kubelet import Kubelet
from tests.fakes.kubernetes_state import Refusal, State

TOKEN = "secret-of-the-test"  # noqa: S105
_PATHS = {
    "jobs": ("/apis/batch/v1", "batch/v1", "Job"),
    "networkpolicies": ("/apis/networking.k8s.io/v1", "networking.k8s.io/v1", "NetworkPolicy"),
    "pods": ("/api/v1", "v1", "Pod"),
}
_PATH = re.compile(
    r"(?P<group>/api/v1|/apis/[\w.]+/v1)/namespaces/(?P<namespace>[\w-]+)/(?P<kind>\w+)"
    r"(?:/(?P<name>[\w.-]+))?(?P<log>/log)?"
)


@dataclass
class Api:
    """url: its address; state: its objects; seen: method and path of each request; forbidden: (verb, kind) refused."""

    url: str
    state: State
    kubelet: Kubelet
    seen: list[tuple[str, str]] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    broken_watches: int = 0
    """Watches that break off before their first event."""

    def kubeconfig(self, folder: Path, *, token: str = TOKEN, namespace: str = "lab") -> Path:
        """Write a kubeconfig for it, and return its path."""
        path = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def posted(self, kind: str) -> int:
        """How many objects of *kind* a client asked for."""
        return sum(method == "POST" and path.endswith(f"/{kind}") for method, path in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def _answer(self, how: Any) -> None:
        length = int(self.headers["Content-Length"] or 0)
        self.body = json.loads(self.rfile.read(length)) if length else {}
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.api.seen.append((self.command, url.path))
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._let_in()
                how(url.path)
        except Refusal as refusal:
            self._json(refusal.status, refusal.fields())

    def _let_in(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            raise Refusal(401, "Unauthorized", "Unauthorized")

    def _found(self, path: str, verb: str) -> tuple[str, str, str | None, bool]:
        match = _PATH.fullmatch(path)
        if match is None or _PATHS.get(match["kind"], ("",))[0] != match["group"]:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        kind, namespace = match["kind"], match["namespace"]
        if (verb, kind) in self.api.forbidden:
            told = f'{kind} is forbidden: User "u" cannot {verb} resource "{kind}" in the namespace "{namespace}"'
            raise Refusal(403, "Forbidden", told)
        return kind, namespace, match["name"], match["log"] is not None

    def _get(self, path: str) -> None:
        if path.startswith("/api/v1/nodes/"):
            self._json(200, self.api.kubelet.node(path.rpartition("/")[2]))
            return
        kind, namespace, name, is_log = self._found(path, "get")
        if is_log:
            self._stream(self.api.kubelet.log(name or "", follow=self.query.get("follow") == "true"), "text/plain")
        elif name is not None:
            self._json(200, self.api.state.get(kind, namespace, name))
        elif self.query.get("watch") in ("true", "True"):
            self._watch(kind, namespace)
        else:
            items, version = self.api.state.listed(kind, namespace, self.query.get("labelSelector", ""))
            _, group, word = _PATHS[kind]
            listed = {"kind": f"{word}List", "apiVersion": group, "metadata": {"resourceVersion": version}}
            self._json(200, {**listed, "items": items})

    def _watch(self, kind: str, namespace: str) -> None:
        if self.api.broken_watches:
            self.api.broken_watches -= 1
            self._stream(iter(()), "application/json")
            return
        selector, seconds = self.query.get("labelSelector", ""), float(self.query.get("timeoutSeconds", 60))
        events = self.api.state.watched(kind, namespace, selector, int(self.query["resourceVersion"]), seconds)
        self._stream((json.dumps(event).encode() + b"\n" for event in events), "application/json")

    def _post(self, path: str) -> None:
        kind, namespace, _, _ = self._found(path, "create")
        _, group, word = _PATHS[kind]
        try:
            kubernetes_validate.validate(self.body, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refusal(422, "Invalid", f"{word} is invalid: {error.message}") from error
        if (self.body["apiVersion"], self.body["kind"]) != (group, word):
            raise Refusal(400, "BadRequest", "the object does not match the URL")
        made = self.api.state.create(kind, namespace, self.body)
        if kind == "jobs":
            self.api.kubelet.begin(namespace, made)
        self._json(201, made)

    def _delete(self, path: str) -> None:
        kind, namespace, name, _ = self._found(path, "delete")
        gone = self.api.state.delete(kind, namespace, name or "")
        if kind == "jobs":
            policy = self.query.get("propagationPolicy") or (self.body or {}).get("propagationPolicy")
            self.api.kubelet.end(namespace, gone, with_pods=policy in ("Background", "Foreground"))
        self._json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _json(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, pieces: Iterator[bytes], kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's word
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextlib.contextmanager
def serving(kubelet: Kubelet) -> Iterator[Api]:
    """Run an API server with the namespace `lab` whose pods *kubelet* runs, on a free port of loopback."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as http:
        api = Api(f"http://127.0.0.1:{http.server_address[1]}", kubelet.state, kubelet)
        handler.api = api  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            kubelet.state.close()
            kubelet.stop()
            http.shutdown()
            thread.join()
