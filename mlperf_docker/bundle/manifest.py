"""Manifest of a bundle, and the layout of its folder.

manifest.json          cells, and every file with its size and sha256
manifest.json.sha256   the manifest's own checksum, as sha256sum writes and checks it
images.tar             every image, as `docker load` takes it; layers that images share are in it once
oci/                   every image, as an OCI layout; likewise
sif/<image>.sif        an image for Apptainer and Singularity
sqsh/<image>.sqsh      an image as a squashfs file, for enroot and pyxis
locks/<variant>.txt    the locks that the images were built from; locks/reference/ has those of references
models/<model>/<file>  model files
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mlperf_docker.bundle.kinds import BUNDLED, ImageKind
from mlperf_docker.catalog.fields import Digest, FileName, Frozen, Sha256
from mlperf_docker.display import printable
from mlperf_docker.errors import BundleError
from mlperf_docker.system import field_problems, small_file

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_CHECKSUM = "manifest.json.sha256"
_LONGEST_LINE = 1000
_PROBLEMS_SHOWN = 20
_WRITE_AGAIN = "Copy the bundle again, or write it again where it comes from: mlperf-docker bundle write"

# A path has no way out of the folder: nothing that begins with a dot, and slashes only where they are written here.
FilePath = Annotated[
    str,
    Field(
        pattern=r"^(images\.tar|oci/(oci-layout|index\.json|blobs/sha256/[0-9a-f]{64})|sif/[a-z0-9-]+\.sif"
        r"|sqsh/[a-z0-9-]+\.sqsh|locks/(reference/)?[a-z0-9-]+\.txt|models/[a-z0-9][a-z0-9-]*/[^./\x00][^/\x00]*)$"
    ),
]


class BundledCell(Frozen):
    """A cell of the matrix and its image."""

    cell: str
    tag: str
    id: Digest
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    base: str
    """Reference of the base, as `images.known_bases.Base` has it."""
    base_identity: str
    """Digest or id of the base, as `images.known_bases.Base` has it."""
    base_origin: str
    """Origin of the base, as `images.known_bases.Base` has it."""
    platform: str
    """Platform as engines name it: `linux/amd64`."""
    lock: FileName
    reference_lock: Annotated[str, Field(pattern=r"^reference/[a-z0-9-]+\.txt$")] | None = None
    """Lock of the packages that the layer with the reference implementation brings; None without one."""
    entrypoint: tuple[str, ...] = ()
    """Command of the image, for runtimes that take none from it."""
    environment: tuple[str, ...] = ()
    """Variables of the image, `NAME=value`, likewise."""
    working_dir: str = "/"

    @property
    def locks(self) -> tuple[str, ...]:
        """Paths of its locks below locks/."""
        return (self.lock, self.reference_lock) if self.reference_lock else (self.lock,)

    @property
    def name(self) -> str:
        """Name for files and folders: model, backend, device and hash."""
        return f"{self.cell.replace(':', '-')}-{self.hash}"


class File(Frozen):
    """A file of the bundle."""

    path: FilePath
    """Path below the bundle's folder, with slashes."""
    size_bytes: int = Field(ge=0)
    sha256: Sha256

    @property
    def model(self) -> str | None:
        """The model whose file it is, or None for what is no model file."""
        kind, *rest = self.path.split("/")
        return rest[0] if kind == "models" else None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Manifest(Frozen):
    """Manifest of a bundle."""

    format: Literal[1] = 1
    version: str
    """Version of the tool that wrote the bundle."""
    revision: str
    """Source commit of the tool that wrote the bundle."""
    cells: tuple[BundledCell, ...] = Field(min_length=1)
    files: tuple[File, ...] = Field(min_length=1)
    missing: tuple[str, ...] = ()
    """Official model files of the cells, `<model>/<file>`, that were not on the host that wrote it."""

    @property
    def model_files(self) -> tuple[File, ...]:
        """The files that belong into the cache of model files."""
        return tuple(file for file in self.files if file.model is not None)

    @property
    def kinds(self) -> tuple[ImageKind, ...]:
        """The kinds that the images are there in."""
        tops = {file.path.split("/")[0] for file in self.files}
        return tuple(kind for kind in BUNDLED if kind.place("").split("/")[0] in tops)

    @property
    def size_bytes(self) -> int:
        """What all files hold together."""
        return sum(file.size_bytes for file in self.files)


def write(folder: Path, manifest: Manifest) -> None:
    """Write *manifest* and its checksum into *folder*."""
    text = (json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()
    (folder / MANIFEST).write_bytes(text)
    (folder / MANIFEST_CHECKSUM).write_text(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """Return the manifest of the bundle in *folder*. Raises BundleError where there is none to be trusted."""
    try:
        content = small_file.read(folder / MANIFEST)
    except small_file.UnfitError as error:
        raise BundleError(f"{folder / MANIFEST} is no manifest of a bundle: {error}.", hint=_WRITE_AGAIN) from error
    except OSError as error:
        raise BundleError(
            f"There is no bundle in {folder}: {MANIFEST}: {error.strerror}.",
            hint="Name the folder that `mlperf-docker bundle write` made.",
        ) from error
    _check_format(folder, content)
    _check_own_checksum(folder, content)
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        found = "\n  ".join(field_problems.told(error)[:_PROBLEMS_SHOWN])
        raise BundleError(f"{folder / MANIFEST} is not as it should be:\n  {found}", hint=_WRITE_AGAIN) from error


def _check_format(folder: Path, content: bytes) -> None:
    """Look at the format before anything else: another one may differ in all the rest."""
    try:
        fields = json.loads(content)
        found, version = fields["format"], fields.get("version", "another version")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{folder / MANIFEST} is no manifest of a bundle.", hint=_WRITE_AGAIN) from error
    if found != FORMAT:
        theirs = printable.shortened(f"format {found}, written by mlperf-docker {version}", _LONGEST_LINE)
        raise BundleError(
            f"The bundle in {folder} has {theirs}; this one reads {FORMAT}.",
            hint="Load it with the version that wrote it, or write it again with this one.",
        )


def _check_own_checksum(folder: Path, content: bytes) -> None:
    try:
        noted = small_file.read(folder / MANIFEST_CHECKSUM, _LONGEST_LINE).decode().split()
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST_CHECKSUM} cannot be read: {error}.", hint=_WRITE_AGAIN) from error
    found = hashlib.sha256(content).hexdigest()
    if noted != [found, MANIFEST]:
        raise BundleError(
            f"{folder / MANIFEST} was changed after it was written: its sha256 is {found}, not"
            f" {noted[0] if noted else '(nothing)'}.",
            hint=_WRITE_AGAIN,
        )
