"""Build inputs of an image and the content hash over them."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

REQUIREMENTS_FOLDER = "requirements"
_HASH_DIGITS = 12
_FORMAT = b"mlperf-docker build inputs 1"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class ContextFile:
    """One file of the build context: path (relative, with slashes), content, permission bits."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class OwnIndex:
    """A package index of a backend's maker, besides the public one. layer: the one whose pip may have to look there.

    python: the version that the wheels are wanted for, as "3.11".
    """

    layer: str
    url: str
    python: str


@dataclass(frozen=True)
class BuildInputs:
    """The Dockerfile and the files it copies or mounts, without the host's own network settings.

    indexes tell where wheels may come from, not which ones they are: the requirements have their hashes.
    """

    dockerfile: str
    files: tuple[ContextFile, ...]
    indexes: tuple[OwnIndex, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that have requirements, sorted."""
        return tuple(sorted(_layer(file) for file in self.files if _is_requirements(file)))


def content_hash(inputs: BuildInputs, base_identity: str) -> str:
    """Return 12 hex digits over everything that decides what is in the image.

    That is the Dockerfile, every context file (path, mode, bytes; in any order) and the identity of the base. Each
    field is preceded by its length, so that no two different inputs give the same stream.
    """
    digest = hashlib.sha256(_FORMAT)
    fields = [base_identity.encode(), inputs.dockerfile.encode()]
    for file in sorted(inputs.files, key=lambda each: each.path):
        fields += [file.path.encode(), f"{file.mode:o}".encode(), file.data]
    for field in fields:
        digest.update(len(field).to_bytes(8, "big") + field)
    return digest.hexdigest()[:_HASH_DIGITS]


def versions(inputs: BuildInputs, layer: str | None = None) -> dict[str, str]:
    """Return distribution → version for everything that the image's requirements pin, or those of one layer."""
    files = (file for file in inputs.files if _is_requirements(file) and layer in (None, _layer(file)))
    return {pin["name"]: pin["version"] for file in files for pin in _PIN.finditer(file.data.decode())}


def _is_requirements(file: ContextFile) -> bool:
    return file.path.startswith(f"{REQUIREMENTS_FOLDER}/")


def _layer(file: ContextFile) -> str:
    return PurePosixPath(file.path).stem


def lock_digest(inputs: BuildInputs) -> str:
    """Return `sha256:…` over the image's requirements, in path order."""
    files = sorted(filter(_is_requirements, inputs.files), key=lambda each: each.path)
    return f"sha256:{hashlib.sha256(b''.join(file.data for file in files)).hexdigest()}"
