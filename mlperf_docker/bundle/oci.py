"""OCI layout: a folder of images, as podman, skopeo, Apptainer and others read it; names of its files, and its index.

skopeo and umoci write and read it, and are on few hosts that have an engine.
"""

import json
from pathlib import Path
from typing import Any

from mlperf_docker.system import small_file

INDEX = "index.json"
MARKER = "oci-layout"
NAME = "org.opencontainers.image.ref.name"
_LARGEST = 4 << 20
_DIGITS = 64


def blob_path(layout: Path, digest: str) -> Path:
    """Return where the blob *digest* lies. Raises ValueError for what is no digest."""
    algorithm, _, digits = digest.partition(":")
    if algorithm != "sha256" or len(digits) != _DIGITS or not digits.isalnum():
        raise ValueError(f"{digest} is no digest")
    return layout / "blobs" / algorithm / digits


def manifests(layout: Path) -> dict[str, dict[str, Any]]:
    """Return the manifest of each image by its name. Raises OSError, ValueError, LookupError or TypeError."""
    index = json.loads(small_file.read(layout / INDEX, _LARGEST))
    return {
        each["annotations"][NAME]: json.loads(small_file.read(blob_path(layout, each["digest"]), _LARGEST))
        for each in index["manifests"]
    }
