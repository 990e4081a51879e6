"""What the engine says of its images."""

from dataclasses import dataclass
from typing import Any, Protocol


class Images(Protocol):
    """Something that knows an engine's images: a full client, or a glance at its socket."""

    def find_image(self, reference: str) -> dict[str, Any] | None:
        """Return the engine's description of the image that *reference* names, or None where it has none."""


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine. digests: `name@sha256:…`, as registries know it."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    labels: dict[str, str]
    size_bytes: int


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
    )
