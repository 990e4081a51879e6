"""What goes into an image, the hash over it, and the names and labels that follow from it. Pure: no disk, no clock."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlperf_docker.names import Backend, Device
from mlperf_docker.spec import ImageSpec

LABEL = "org.mlperf-docker"
REQUIREMENTS_FOLDER = "requirements"
SBOM = "/opt/mlperf/sbom.cdx.json"
"""Where an image has its bill of materials."""
_HASH_DIGITS = 12
_FORMAT = b"mlperf-docker build inputs 1"
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
_DISTRIBUTIONS = {
    (Backend.ONNXRUNTIME, Device.CPU): "onnxruntime",
    (Backend.ONNXRUNTIME, Device.CUDA): "onnxruntime-gpu",
    (Backend.TENSORFLOW, Device.CPU): "tensorflow-cpu",
}


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


@dataclass(frozen=True)
class Origin:
    """Where an image comes from: its base as it was resolved, and the source tree that built it.

    base_origin: local, pulled, bootstrapped or given; revision: the source commit, or "unknown".
    """

    base_reference: str
    base_identity: str
    base_origin: str
    revision: str
    version: str


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


def tags(spec: ImageSpec, content: str, registry: str) -> tuple[str, str]:
    """Return the exact tag of *spec* with hash *content*, and the tag that moves with every build."""
    moving = f"{registry}/{spec.model.name}:{spec.variant}"
    return f"{moving}-{content}", moving


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


def labels(spec: ImageSpec, inputs: BuildInputs, content: str, origin: Origin) -> dict[str, str]:
    """Return the OCI annotations and our own labels of an image. No time stamp: equal inputs give equal labels."""
    return {LABEL: "image", **_own_labels(spec, inputs, content, origin), **_oci_labels(spec, content, origin)}


def _own_labels(spec: ImageSpec, inputs: BuildInputs, content: str, origin: Origin) -> dict[str, str]:
    """Return the labels under our own name: the cell, its versions and its base."""
    pins = versions(inputs)
    facts = {
        "cell": str(spec),
        "model": spec.model.name,
        "backend": spec.backend.value,
        "device": spec.device.value,
        "precisions": ",".join(spec.precisions),
        "hash": content,
        "lock": lock_digest(inputs),
        "sbom": SBOM,
        "base": origin.base_reference,
        "base.origin": origin.base_origin,
        "base.identity": origin.base_identity,
        "versions.loadgen": pins.get("mlcommons-loadgen", ""),
        "versions.numpy": pins.get("numpy", ""),
        "versions.backend": pins.get(backend_distribution(spec.backend, spec.device), ""),
    }
    return {f"{LABEL}.{key}": value for key, value in facts.items()}


def _oci_labels(spec: ImageSpec, content: str, origin: Origin) -> dict[str, str]:
    """Return the annotations of the OCI image specification that we know without a clock."""
    facts = {
        "title": str(spec),
        "description": f"MLPerf Inference {spec.model.title} on {spec.backend} ({spec.device})",
        "version": f"{origin.version}-{content}",
        "revision": origin.revision,
        "licenses": "Apache-2.0",
        "base.name": origin.base_reference,
        "base.digest": origin.base_identity,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in facts.items()}


def backend_distribution(backend: Backend, device: Device) -> str:
    """Return the name of the distribution that carries the backend itself."""
    return _DISTRIBUTIONS.get((backend, device), {Backend.PYTORCH: "torch"}.get(backend, backend.value))
