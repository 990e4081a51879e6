"""A registry that serves one image over plain HTTP on this host, which every engine allows for 127.0.0.0/8."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Served:
    """reference: `127.0.0.1:<port>/<name>:<tag>`; digest: of its manifest."""

    reference: str
    digest: str


@contextmanager
def registry(name: str, content: bytes) -> Iterator[Served]:
    """Serve an image whose one file, /content, holds *content*, as `<name>:1`."""
    blobs, manifest = _image(content)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            kind, body = _MANIFEST, blobs.get(self.path.rpartition("/")[2])
            if self.path == "/v2/":
                kind, body = "application/json", b"{}"
            elif "/manifests/" in self.path:
                body = manifest
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            if body is manifest:
                self.send_header("Docker-Content-Digest", _digest(manifest))
            self.end_headers()
            if with_body:
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Served(f"127.0.0.1:{server.server_port}/{name}:1", _digest(manifest))
        finally:
            server.shutdown()


def _image(content: bytes) -> tuple[dict[str, bytes], bytes]:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(archive.getvalue(), mtime=0)
    rootfs = {"type": "layers", "diff_ids": [_digest(archive.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, config),
        "layers": [_descriptor(_LAYER, layer)],
    }
    return {_digest(blob): blob for blob in (config, layer)}, json.dumps(manifest).encode()


def _descriptor(kind: str, blob: bytes) -> dict[str, str | int]:
    return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
