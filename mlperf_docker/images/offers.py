"""Offers of a registry, asked for with an engine here or without one."""

from collections.abc import Callable

from mlperf_docker.engine import glance
from mlperf_docker.errors import EngineError, RegistryError
from mlperf_docker.images import prebuilt
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.lookup import candidates
from mlperf_docker.images.prebuilt import Offer
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.registry.client import RegistryClient

PLATFORM = "linux/amd64"
"""Platform of what is offered: the one that images are made for."""


def likely(recipe: Recipe, sources: Sources) -> list[Candidate]:
    """Return the images that would serve, best base first."""
    identity = recipe.identity
    try:
        return candidates(glance.images(), identity, sources)
    except EngineError:
        return [candidate(identity, Base(identity.base.pinned, identity.base.digest, "local"), sources.registry)]


def offer(recipe: Recipe, sources: Sources, say: Callable[[str], None], hint: str) -> Offer:
    """Return what the registry has of *recipe*. Raises RegistryError, with *hint* where it has nothing."""
    known = likely(recipe, sources)
    if not sources.has_registry:
        raise RegistryError(
            f"Nodes cannot pull {known[0].exact}: the registry {sources.registry!r} names no host.",
            hint=f"Name one with --registry HOST/PATH or MLPERF_DOCKER_REGISTRY. {hint}",
        )
    registries = RegistryClient(_trust(), PLATFORM, say)
    if sources.digest is not None:
        return prebuilt.find_pinned(registries, recipe, sources.registry, sources.digest)
    found = prebuilt.find(registries, recipe.identity, known)
    if found is None:
        raise RegistryError(f"The registry has no {known[0].exact} that nodes could pull.", hint=hint)
    return found


def _trust() -> dict[str, object]:
    """Return what the engine here, if there is one, says of registries without a trusted certificate."""
    try:
        return dict(glance.info().get("RegistryConfig") or {})
    except EngineError:
        return {}
