"""Writing of OCI layouts: blobs named by their checksums, a manifest for each image, and the index of all."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlperf_docker.bundle import oci
from mlperf_docker.bundle.copying import HashedFile
from mlperf_docker.bundle.stored import Blob, Report, StoredImage

_TYPES = "application/vnd.oci.image"
_PARTIAL = ".partial"
_CHUNK_BYTES = 2**20


def write(images: Iterable[tuple[str, StoredImage]], layout: Path, report: Report = lambda *_: None) -> None:
    """Write *images*, each with its name, into the new folder *layout*; a layer of several is in it once.

    Raises BundleError where an image is damaged, whatever is there by then. report: bytes done, of how many.
    """
    images = list(images)
    (layout / "blobs" / "sha256").mkdir(parents=True)
    writer = _Writer(layout, sum({each: each.size_bytes for _, image in images for each in image.layers}.values()))
    entries = [writer.image(name, image, report) for name, image in images]
    _write_json(layout / oci.MARKER, {"imageLayoutVersion": "1.0.0"})
    _write_json(layout / oci.INDEX, {"schemaVersion": 2, "mediaType": f"{_TYPES}.index.v1+json", "manifests": entries})


class _Writer:
    """Writer of one layout; remembers the layers that are in it."""

    def __init__(self, layout: Path, size_bytes: int) -> None:
        self._layout, self._total, self._done = layout, size_bytes, 0
        self._layers: dict[Blob, dict[str, Any]] = {}

    def image(self, name: str, image: StoredImage, report: Report) -> dict[str, Any]:
        """Write *image*, and return its entry in the index."""
        configuration = image.configuration
        for layer, diff_id in zip(image.layers, image.diff_ids, strict=True):
            if layer in self._layers:
                continue
            self._layers[layer] = found = self._layer(layer, report)
            if not layer.is_gzip and found["digest"] != diff_id:
                raise image.damaged(f"a layer is {found['digest']}, not {diff_id}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_TYPES}.manifest.v1+json",
            "config": self._content(image.config.read(), f"{_TYPES}.config.v1+json"),
            "layers": [self._layers[each] for each in image.layers],
        }
        entry = self._content(json.dumps(manifest).encode(), manifest["mediaType"])
        platform = {"architecture": configuration["architecture"], "os": configuration["os"]}
        return {**entry, "platform": platform, "annotations": {oci.NAME: name}}

    def _layer(self, layer: Blob, report: Report) -> dict[str, Any]:
        aside = self._layout / _PARTIAL
        with layer.open() as content, HashedFile(aside) as file:
            while chunk := content.read(_CHUNK_BYTES):
                file.write(chunk)
                self._done += len(chunk)
                report(self._done, self._total)
        digest = f"sha256:{file.sha256}"
        aside.replace(oci.blob_path(self._layout, digest))
        return _descriptor(f"{_TYPES}.layer.v1.tar{'+gzip' if layer.is_gzip else ''}", digest, file.size_bytes)

    def _content(self, content: bytes, media_type: Any) -> dict[str, Any]:  # noqa: ANN401  # a string among others
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        oci.blob_path(self._layout, digest).write_bytes(content)
        return _descriptor(media_type, digest, len(content))


def _descriptor(media_type: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size_bytes}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
