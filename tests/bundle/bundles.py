"""Bundles of small images that no engine made: their layers are given file by file."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlperf_docker import __version__
from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle.kinds import IMAGES
from mlperf_docker.bundle.manifest import BundledCell, File, Manifest
from mlperf_docker.bundle.stored import Blob, StoredImage, archive_of
from mlperf_docker.recipe.recipe import Recipe

IDENTITY = f"sha256:{'b' * 64}"
Layer = Mapping[str, "bytes | str | tarfile.TarInfo | None"]
"""Name → content, the target of a link, None for a folder, or a member as it is."""
PROCESS = {"Env": ["PATH=/bin", "GREETING=two words"], "Entrypoint": ["/bin/sh", "-c"], "WorkingDir": "/results"}


def packed(layer: Layer) -> bytes:
    """Return *layer* as a tar."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, what in layer.items():
            entry = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.mtime = entry.mtime or 1_600_000_000
            data = what if isinstance(what, bytes) else b""
            if isinstance(what, bytes):
                entry.size, entry.mode = len(data), 0o644
            elif isinstance(what, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, what
            elif what is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    """Return a second name for *target*."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.LNKTYPE, target
    return entry


def image(folder: Path, tag: str, layers: Sequence[bytes]) -> StoredImage:
    """Return an image of *layers*, whose files lie in *folder*."""
    folder.mkdir(exist_ok=True, parents=True)
    digests = [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": PROCESS,
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
        }
    ).encode()
    blobs = [_blob(folder, each) for each in (config, *layers)]
    return StoredImage(tag, blobs[0], f"sha256:{hashlib.sha256(config).hexdigest()}", tuple(blobs[1:]))


def _blob(folder: Path, content: bytes) -> Blob:
    path = folder / hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    return Blob(path, 0, len(content))


def bundle(folder: Path, recipe: Recipe, layers: Sequence[bytes], aside: Path) -> Path:
    """Write a bundle that has an image of *recipe*, of *layers*, into *folder*."""
    folder.mkdir()
    content = recipe.content(IDENTITY)
    tag = f"mlperf-test/{recipe}-{content}"
    held = image(aside, tag, layers)
    data = b"".join(archive_of([(held, tag)]))
    (folder / IMAGES).write_bytes(data)
    cell = BundledCell(
        cell=str(recipe), tag=tag, id=held.config_digest, hash=content, base="base:1", base_identity=IDENTITY,
        base_origin="local", platform="linux/amd64", lock=recipe.spec.lock, entrypoint=tuple(PROCESS["Entrypoint"]),
        environment=tuple(PROCESS["Env"]), working_dir="/results",
    )  # fmt: skip
    file = File(path=IMAGES, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    manifests.write(folder, Manifest(version=__version__, revision="unknown", cells=(cell,), files=(file,)))
    return folder
