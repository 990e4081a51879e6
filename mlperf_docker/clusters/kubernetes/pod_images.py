"""Images of pods: by digest from a registry, or by their tag where the nodes have them."""

from dataclasses import dataclass

from mlperf_docker.display.progress import Display
from mlperf_docker.engine import glance
from mlperf_docker.errors import EngineError, RegistryError
from mlperf_docker.images import prebuilt
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.lookup import candidates, present
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.registry.client import RegistryClient
from mlperf_docker.results.values import ImageUsed

_PLATFORM = "linux/amd64"


@dataclass(frozen=True)
class PodImage:
    """Image of a pod."""

    reference: str
    """What nodes call it."""
    used: ImageUsed
    """The same as a result names it, without its id."""


def image_of(recipe: Recipe, sources: Sources, display: Display) -> PodImage:
    """Return the image of *recipe* for pods. Raises RegistryError where no registry has it that nodes could ask."""
    known = _candidates(recipe, sources)
    if sources.pull is PullPolicy.NEVER:
        chosen = _on_this_host(known)
        return PodImage(chosen.exact, _used(chosen, None))
    hint = f"Push it: mlperf-docker push {recipe.spec.words}. Or, where the nodes have it already: --pull never"
    if not sources.has_registry:
        raise RegistryError(
            f"Nodes cannot pull {known[0].exact}: the registry {sources.registry!r} names no host.",
            hint=f"Name one with --registry HOST/PATH or MLPERF_DOCKER_REGISTRY. {hint}",
        )
    offer = prebuilt.find(RegistryClient(_trust(), _PLATFORM, display.say), recipe.identity, known)
    if offer is None:
        raise RegistryError(f"The registry has no {known[0].exact} that nodes could pull.", hint=hint)
    return PodImage(offer.remote.pinned, _used(offer.candidate, offer.remote.digest))


def _used(chosen: Candidate, digest: str | None) -> ImageUsed:
    base = f"{chosen.base.reference} ({chosen.base.origin})"
    return ImageUsed(tag=chosen.exact, id="", base=base, digest=digest)


def _candidates(recipe: Recipe, sources: Sources) -> list[Candidate]:
    """Return what would serve, with an engine here or without one."""
    identity = recipe.identity
    try:
        return candidates(glance.images(), identity, sources)
    except EngineError:
        return [candidate(identity, Base(identity.base.pinned, identity.base.digest, "local"), sources.registry)]


def _on_this_host(known: list[Candidate]) -> Candidate:
    """Return the candidate that is here, which nodes have too if they were given the same; else the likely one."""
    try:
        found = present(glance.images(), known)
    except EngineError:
        found = None
    return found[0] if found else known[0]


def _trust() -> dict[str, object]:
    """Return what the engine here, if there is one, says of registries without a trusted certificate."""
    try:
        return dict(glance.info().get("RegistryConfig") or {})
    except EngineError:
        return {}
