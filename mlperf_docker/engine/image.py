"""What the engine says of its images."""

from dataclasses import dataclass
from typing import Any, Protocol

from mlperf_docker.digests import LABEL

# What `GET /images/json` takes as its filter to list the images of cells alone.
OUR_IMAGES = {"label": [f"{LABEL}=image"]}


class Images(Protocol):
    """Something that knows an engine's images: a full client, or a glance at its socket."""

    def find_image(self, reference: str) -> dict[str, Any] | None:
        """Return the engine's description of the image that *reference* names, or None where it has none."""

    def our_labels(self) -> list[dict[str, str]]:
        """Return the labels of every image on the engine that this tool built."""


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine. digests: `name@sha256:…`, as registries know it; platform: as `linux/amd64`."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    labels: dict[str, str]
    size_bytes: int
    platform: str = "linux/amd64"


def find(images: Images, reference: str) -> LocalImage | None:
    """Return the image that *reference* (tag, digest or id) names on this engine, or None."""
    found = images.find_image(reference)
    if found is None:
        return None
    return LocalImage(
        id=found["Id"],
        tags=tuple(found["RepoTags"] or ()),
        digests=tuple(found["RepoDigests"] or ()),
        labels=dict(found["Config"]["Labels"] or {}),
        size_bytes=int(found["Size"]),
        platform=f"{found.get('Os', 'linux')}/{found.get('Architecture', 'amd64')}",
    )
