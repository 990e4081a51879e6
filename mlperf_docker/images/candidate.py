"""A possible image of a cell: base, content hash, exact and moving tag. Pure: no engine, no network."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlperf_docker.images.bases import Base
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.registry.references import parted


@dataclass(frozen=True)
class Candidate:
    """The cell's image on this base, with this hash. exact, moving: its tags, with the registry's name."""

    base: Base
    content: str
    exact: str
    moving: str

    @property
    def repository(self) -> str:
        """The name that both tags belong to."""
        return parted(self.exact)[0]

    @property
    def registry(self) -> str:
        """The registry's name, with the path before the model's name."""
        return self.repository.rpartition("/")[0]


def candidate(recipe: Recipe, base: Base, registry: str) -> Candidate:
    """Return the image of *recipe* on *base*, named in *registry*."""
    return Candidate(base, recipe.content(base.identity), *recipe.tags(base.identity, registry))


def same_source(recipe: Recipe, labels: Mapping[str, str], registry: str) -> Candidate | None:
    """Return what an image with *labels* is if all but its base is what *recipe* says; else None.

    So an image is known again where its base cannot be known beforehand: one that was bootstrapped on another machine.
    One on a base that somebody gave with --base is never taken for another.
    """
    base = Base.recorded(labels)
    if base is None or base.is_given:
        return None
    found = candidate(recipe, base, registry)
    return found if found.content == labels.get(f"{LABEL}.hash") else None
