"""Images on an engine, as it describes them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlperf_docker.engine.engine import EngineRefusedError, Images, ImageStore
from mlperf_docker.names import LABEL
from mlperf_docker.registry.references import familiar

_OUR_IMAGES = f"{LABEL}=image"
_CELL = f"{LABEL}.cell"


@dataclass(frozen=True)
class ImageProcess:
    """Process that an image starts."""

    entrypoint: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """Variables, `NAME=value`."""
    working_dir: str = "/"


@dataclass(frozen=True)
class LocalImage:
    """An image on the engine."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    """`name@sha256:…`, as registries know it."""
    labels: dict[str, str]
    size_bytes: int
    platform: str
    """As `linux/amd64`."""
    process: ImageProcess = field(default_factory=ImageProcess)

    def digest_in(self, name: str) -> str | None:
        """Return the digest, `sha256:…`, that the repository *name* knows it by, or None where it does not."""
        known = dict(each.split("@", 1) for each in self.digests)
        return known.get(name) or known.get(familiar(name))


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
        platform=f"{found['Os']}/{found['Architecture']}",
        process=_process(found["Config"]),
    )


def _process(configuration: Mapping[str, Any]) -> ImageProcess:
    return ImageProcess(
        tuple(configuration.get("Entrypoint") or ()),
        tuple(configuration.get("Env") or ()),
        configuration.get("WorkingDir") or "/",
    )


def our_labels(images: Images) -> list[dict[str, str]]:
    """Return the labels of every image on the engine that this tool built."""
    return [dict(each["Labels"]) for each in images.images(_OUR_IMAGES)]


def newest_of_ours(images: Images) -> str | None:
    """Return a tag of the newest image of a cell on the engine, or None where there is none."""
    found = [each for each in images.images(_OUR_IMAGES) if each.get("RepoTags") and _CELL in each["Labels"]]
    newest = max(found, key=lambda each: int(each["Created"]), default=None)
    return str(min(newest["RepoTags"], key=len)) if newest else None


def remove_untagged(client: ImageStore, image: str) -> None:
    """Remove an image, by its id, that lost its tag to another one, unless it has another name or is in use."""
    found = find(client, image)
    if found is not None and not found.tags:
        with contextlib.suppress(EngineRefusedError):
            client.remove_image(image)
