"""Build inputs of an image and the content hash over them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mlperf_docker.recipe.requirements import Pin

_FORMAT = b"mlperf-docker build inputs 2"


@dataclass(frozen=True)
class ContextFile:
    """File of the build context: path (relative, with slashes), content, permission bits."""

    path: str
    data: bytes
    mode: int = 0o644

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the content: computed once, as all images have most files in common."""
        return hashlib.sha256(self.data).digest()


@dataclass(frozen=True)
class OwnIndex:
    """A package index of a backend's maker, besides the public one."""

    url: str
    python: str
    """The version that the wheels are wanted for, as "3.11"."""


@dataclass(frozen=True)
class Layer:
    """The packages that one step of a build installs."""

    name: str
    pins: tuple[Pin, ...]
    left_out: tuple[str, ...] = ()
    """Folders below site-packages that are removed again; `**` is any depth."""
    index: OwnIndex | None = None
    """Where pip may have to look besides. It does not count for the hash: the pins have the hashes of their wheels."""
    apart: bool = False
    """Whether it goes into another virtual environment than the image's."""

    @property
    def folder(self) -> str:
        """The layer's own part of the build context, which its step mounts."""
        return f"layers/{self.name}"

    @property
    def requirements(self) -> bytes:
        """The pins as pip reads them."""
        return "".join(f"{pin}\n" for pin in self.pins).encode()

    @property
    def versions(self) -> dict[str, str]:
        """Distribution → version."""
        return {pin.name: pin.version for pin in self.pins}

    def files(self) -> Iterator[ContextFile]:
        """Yield what decides what the step installs."""
        yield ContextFile(f"{self.folder}/requirements.txt", self.requirements)
        if self.left_out:
            yield ContextFile(f"{self.folder}/left-out.txt", "".join(f"{each}\n" for each in self.left_out).encode())


@dataclass(frozen=True)
class BuildInputs:
    """The Dockerfile and the build context, without the host's own network settings."""

    dockerfile: str
    files: tuple[ContextFile, ...]
    """The script of the steps, and the harness."""
    layers: tuple[Layer, ...] = ()

    def context(self) -> tuple[ContextFile, ...]:
        """Return all files of the build context, those of the layers among them."""
        return (*self.files, *(file for layer in self.layers for file in layer.files()))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the Dockerfile and every context file (path, mode, content; in any order).

        Each field is preceded by its length, so that no two different inputs give the same stream.
        """
        fields = [_FORMAT, self.dockerfile.encode()]
        for file in sorted(self.context(), key=lambda each: each.path):
            fields += [file.path.encode(), f"{file.mode:o}".encode(), file.digest]
        return hashlib.sha256(b"".join(len(field).to_bytes(8, "big") + field for field in fields)).digest()


def versions(inputs: BuildInputs) -> dict[str, str]:
    """Return distribution → version for everything that the image's layers pin."""
    return {name: version for layer in inputs.layers for name, version in layer.versions.items()}


def lock_digest(inputs: BuildInputs) -> str:
    """Return `sha256:…` over the requirements of the image's layers, in the order of their names."""
    layers = sorted(inputs.layers, key=lambda each: each.name)
    return f"sha256:{hashlib.sha256(b''.join(layer.requirements for layer in layers)).hexdigest()}"
