"""Look at, name and remove images on the engine."""

from dataclasses import dataclass

import docker
from docker.errors import ImageNotFound

from mlperf_docker.digests import LABEL


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine. digests: `name@sha256:…`, as registries know it."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    labels: dict[str, str]
    size_bytes: int


def find(client: docker.APIClient, reference: str) -> LocalImage | None:
    """Return the image that *reference* (tag, digest or id) names on this engine, or None."""
    try:
        found = client.inspect_image(reference)
    except ImageNotFound:
        return None
    return LocalImage(
        id=found["Id"],
        tags=tuple(found["RepoTags"] or ()),
        digests=tuple(found["RepoDigests"] or ()),
        labels=dict(found["Config"]["Labels"] or {}),
        size_bytes=int(found["Size"]),
    )


def list_own(client: docker.APIClient, kind: str) -> list[LocalImage]:
    """Return the images that carry our label with *kind*: `image` or `base`."""
    found = client.images(filters={"label": f"{LABEL}={kind}"})
    return [image for image in (find(client, each["Id"]) for each in found) if image is not None]
