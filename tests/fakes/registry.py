"""A registry that says what a test has it say, over plain HTTP on this host: every engine allows 127.0.0.0/8."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

OURS = "linux/amd64"
INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
Answer = tuple[int, dict[str, str], bytes]


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Served:
    """A registry that answers what *answer* says of a path, and remembers what it was asked."""

    host: str = ""
    answer: Callable[[str, dict[str, str]], Answer] = lambda *_: (404, {}, b"")
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Served]:
    """Serve until the end of the block; nobody is there afterwards."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            path = f"{self.path}{'?' if length else ''}{self.rfile.read(length).decode()}"
            served.asked.append(path)
            status, headers, body = served.answer(path, dict(self.headers))
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815  # the base class's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.host = f"127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()


def body(value: Any, kind: str = "application/json") -> Answer:
    return 200, {"Content-Type": kind}, json.dumps(value).encode()


def image(architecture: str, content: bytes = b"content\n") -> dict[str, bytes]:
    """Return the manifest, the configuration and the one layer of an image by their digests, in this order.

    Its label `for` is the architecture, its one file, /content, holds *content*.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(archive.getvalue(), mtime=0)
    facts = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Labels": {"for": architecture}},
        "rootfs": {"type": "layers", "diff_ids": [digest(archive.getvalue())]},
    }
    config = json.dumps(facts).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, config),
        "layers": [_descriptor(_LAYER, layer)],
    }
    return {digest(blob): blob for blob in (json.dumps(manifest).encode(), config, layer)}


def index(**images: dict[str, bytes]) -> bytes:
    """Return the index of *images*, architecture → what `image` returned, with an attestation as builders put in."""
    entries = [
        {"digest": next(iter(each)), "platform": {"os": "linux", "architecture": name}} for name, each in images.items()
    ]
    attestation = {"digest": "sha256:0", "platform": {"os": "unknown", "architecture": "unknown"}}
    return json.dumps({"mediaType": INDEX, "manifests": [*entries, attestation]}).encode()


def store(blobs: dict[str, bytes], tagged: bytes, tag: str = "1") -> Callable[[str, dict[str, str]], Answer]:
    """Have *blobs* in every repository, and *tagged*, a manifest or an index, under *tag*."""

    def answer(path: str, _: dict[str, str]) -> Answer:
        if path == "/v2/":
            return body({})
        content = blobs.get(path.rpartition("/")[2], tagged if path.endswith(f"/manifests/{tag}") else None)
        if content is None:
            return 404, {}, b"{}"
        kind = json.loads(content)["mediaType"] if "/manifests/" in path else "application/octet-stream"
        return 200, {"Content-Type": kind, "Docker-Content-Digest": digest(content)}, content

    return answer


def _descriptor(kind: str, blob: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "size": len(blob), "digest": digest(blob)}
