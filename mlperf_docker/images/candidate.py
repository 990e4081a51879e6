"""Possible image of a cell: base, content hash, exact and moving tag. Pure: no engine, no network."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.identity import Identity
from mlperf_docker.registry.references import parted
from mlperf_docker.results.values import ImageUsed


@dataclass(frozen=True)
class Candidate:
    """The cell's image on this base, with this hash."""

    base: Base
    content: str
    exact: str
    """Exact tag, with the registry's name."""
    moving: str
    """Moving tag, with the registry's name."""

    @property
    def repository(self) -> str:
        """The name that both tags belong to."""
        return parted(self.exact)[0]

    def used(self, image: LocalImage) -> ImageUsed:
        """Return *image*, which is this one, as results name it."""
        return ImageUsed(tag=self.exact, id=image.id, base=self.base.described, digest=image.digest_in(self.repository))

    @property
    def registry(self) -> str:
        """The registry's name, with the path before the model's name."""
        return self.repository.rpartition("/")[0]


def candidate(identity: Identity, base: Base, registry: str) -> Candidate:
    """Return the image of *identity* on *base*, named in *registry*."""
    return Candidate(base, identity.content(base.identity), *identity.tags(base.identity, registry))


def same_source(identity: Identity, labels: Mapping[str, str], registry: str) -> Candidate | None:
    """Return what an image with *labels* is if all but its base is what *identity* says; else None.

    So an image is known again where its base cannot be known beforehand: one that was bootstrapped on another machine.
    One on a base that somebody gave with --base is never taken for another.
    """
    base = Base.recorded(labels)
    if base is None or base.is_given:
        return None
    found = candidate(identity, base, registry)
    return found if found.content == labels.get(f"{LABEL}.hash") else None
