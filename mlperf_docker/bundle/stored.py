"""Images as a bundle stores them: configuration and layers of each, in docker's archive or in an OCI layout.

Everything is named by its checksum, so an image is proved on its own: its configuration has the digest in its own
name, and lists the digest of each layer's files.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from mlperf_docker.bundle import oci
from mlperf_docker.bundle.kinds import IMAGES, LAYOUT, ImageKind
from mlperf_docker.bundle.manifest import BundledCell
from mlperf_docker.engine import archive
from mlperf_docker.errors import BundleError

_CHUNK_BYTES = 2**20
_GZIP = b"\x1f\x8b"
_COPY_AGAIN = "Copy it again from where it was written; mlperf-docker bundle verify tells whether a copy is whole."
UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors of a compressed layer that is damaged."""
Report = Callable[[int, int], None]


class Piece(io.RawIOBase):
    """Part of a file, read as a file of its own."""

    def __init__(self, path: Path, offset: int, size_bytes: int) -> None:
        self._file, self._left = path.open("rb"), size_bytes
        self._file.seek(offset)

    def readable(self) -> bool:
        """True: it is read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # of the buffer protocol
        """Fill *buffer* as far as there is more."""
        view = memoryview(buffer)[: self._left]
        count = self._file.readinto(view) if view else 0
        self._left -= count
        return count

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Blob:
    """Configuration or layer: a part of a file of the bundle."""

    path: Path
    offset: int
    size_bytes: int

    def open(self) -> IO[bytes]:
        """Return its bytes as they are stored."""
        return io.BufferedReader(Piece(self.path, self.offset, self.size_bytes), _CHUNK_BYTES)

    @cached_property
    def is_gzip(self) -> bool:
        """Whether it is compressed, as engines with containerd's store save layers."""
        with self.open() as file:
            return file.read(len(_GZIP)) == _GZIP

    def open_plain(self) -> IO[bytes]:
        """Return its bytes without compression."""
        return gzip.GzipFile(fileobj=self.open()) if self.is_gzip else self.open()  # type: ignore[return-value]

    def read(self) -> bytes:
        """All of it, for a small one."""
        with self.open() as file:
            return file.read()


@dataclass(frozen=True)
class StoredImage:
    """Image in a bundle, under the tag that the bundle has for it."""

    tag: str
    config: Blob
    config_digest: str
    """Digest in the configuration's name, `sha256:…`."""
    layers: tuple[Blob, ...]
    """The lowest first."""

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The configuration, as the OCI's image specification describes it. Raises BundleError where it is damaged."""
        content = self.config.read()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != self.config_digest:
            raise self.damaged(f"its configuration is not {self.config_digest}")
        found: dict[str, Any] = json.loads(content)
        return found

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Digest of each layer without compression. Raises BundleError."""
        found = tuple(self.configuration.get("rootfs", {}).get("diff_ids") or ())
        if len(found) != len(self.layers):
            raise self.damaged(f"it has {len(self.layers)} layers, and its configuration lists {len(found)}")
        return found

    @property
    def size_bytes(self) -> int:
        """What its layers hold as they are stored."""
        return sum(layer.size_bytes for layer in self.layers)

    def damaged(self, why: str) -> BundleError:
        """The error for an image that is not what the bundle says."""
        return BundleError(f"The image {self.tag} in {self.config.path} is damaged: {why}.", hint=_COPY_AGAIN)

    def check(self, report: Report = lambda *_: None) -> None:
        """Read all layers and compare them with their digests. Raises BundleError. report: bytes done, of how many."""
        done = 0
        for number, (layer, diff_id) in enumerate(zip(self.layers, self.diff_ids, strict=True), 1):
            try:
                with layer.open_plain() as plain:
                    found = Hashed(plain).rest()
            except (OSError, *UNREADABLE) as error:
                raise self.damaged(f"layer {number} cannot be read: {error}") from error
            if found != diff_id:
                raise self.damaged(f"layer {number} is {found}, not {diff_id}")
            done += layer.size_bytes
            report(done, self.size_bytes)


class Hashed(io.BufferedIOBase):
    """A file that is read once, with the checksum of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(-1 if size is None else size)
        self._hash.update(chunk)
        return chunk

    def rest(self) -> str:
        """Read what is left, and return the digest of all: `sha256:…`."""
        while self.read(_CHUNK_BYTES):
            pass
        return f"sha256:{self._hash.hexdigest()}"


def find(folder: Path, cell: BundledCell) -> StoredImage:
    """Return the image of *cell* in the bundle in *folder*. Raises BundleError where it is not there, or cut off."""
    found = next((read(folder, cell) for kind, read in _READERS.items() if (folder / kind.place("")).exists()), None)
    if found is None:
        raise BundleError(
            f"The bundle in {folder} has no layers of {cell.cell}.", hint="Write it with --format docker, or oci."
        )
    return found


def _archived(folder: Path, cell: BundledCell) -> StoredImage:
    path = folder / IMAGES
    try:
        members, images = archive.images_in(path)
    except archive.NoArchiveError as error:
        raise BundleError(f"{path} {error}.", hint=_COPY_AGAIN) from error
    image = next((each for each in images if cell.tag in each.tags), None)
    if image is None:
        raise BundleError(f"{path} does not hold {cell.tag}.", hint=_COPY_AGAIN)

    def blob(name: str) -> Blob:
        return Blob(path, members[name].offset_data, members[name].size)

    digest = f"sha256:{Path(image.config).name.removesuffix('.json')}"
    return StoredImage(cell.tag, blob(image.config), digest, tuple(blob(name) for name in image.layers))


def laid_out(folder: Path, cell: BundledCell) -> StoredImage:
    """Return the image of *cell* in the bundle's OCI layout. Raises BundleError."""
    layout = folder / LAYOUT
    try:
        manifest = oci.manifests(layout)[cell.name]
        config, *layers = (_blob(layout, each) for each in (manifest["config"], *manifest["layers"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleError(f"{layout} does not hold {cell.name}: {error!r}.", hint=_COPY_AGAIN) from error
    return StoredImage(cell.tag, config, str(manifest["config"]["digest"]), tuple(layers))


def _blob(layout: Path, descriptor: dict[str, Any]) -> Blob:
    path = oci.blob_path(layout, descriptor["digest"])
    return Blob(path, 0, path.stat().st_size)


_READERS = {ImageKind.DOCKER: _archived, ImageKind.OCI: laid_out}


def archive_of(images: Sequence[tuple[StoredImage, str]], report: Report = lambda *_: None) -> Iterator[bytes]:
    """Yield an archive of *images*, each under its tag, as engines load it; a layer that images share is in it once."""
    total = sum({layer: layer.size_bytes for image, _ in images for layer in image.layers}.values())
    names: dict[Blob, str] = {}
    entries, done = [], 0
    for image, tag in images:
        for layer in image.layers:
            if layer in names:
                continue
            names[layer] = f"layers/{len(names)}.tar"
            for chunk in _member(names[layer], layer):
                yield chunk
                done += len(chunk)
                report(min(done, total), total)
        config = f"{image.config_digest.removeprefix('sha256:')}.json"
        yield from _member(config, image.config)
        entries.append({"Config": config, "RepoTags": [tag], "Layers": [names[each] for each in image.layers]})
    content = json.dumps(entries).encode()
    yield _header("manifest.json", len(content)) + content + _padding(len(content)) + b"\0" * tarfile.BLOCKSIZE * 2


def _member(name: str, blob: Blob) -> Iterator[bytes]:
    yield _header(name, blob.size_bytes)
    with blob.open() as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    yield _padding(blob.size_bytes)


def _header(name: str, size_bytes: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size_bytes
    return entry.tobuf()


def _padding(size_bytes: int) -> bytes:
    return b"\0" * (-size_bytes % tarfile.BLOCKSIZE)
