"""Images of pods: by digest from a registry, or by their tag where the nodes have them."""

from dataclasses import dataclass

from mlperf_docker.display.progress import Display
from mlperf_docker.engine import glance
from mlperf_docker.errors import EngineError
from mlperf_docker.images import offers
from mlperf_docker.images.candidate import Candidate
from mlperf_docker.images.lookup import present
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed


@dataclass(frozen=True)
class PodImage:
    """Image of a pod."""

    reference: str
    """What nodes call it."""
    used: ImageUsed
    """The same as a result names it, without its id."""


def image_of(recipe: Recipe, sources: Sources, display: Display) -> PodImage:
    """Return the image of *recipe* for pods. Raises RegistryError where no registry has it that nodes could ask."""
    known = offers.likely(recipe, sources)
    if sources.pull is PullPolicy.NEVER and sources.digest is None:
        chosen = _on_this_host(known)
        return PodImage(chosen.exact, _used(chosen, None))
    hint = f"Push it: mlperf-docker push {recipe.spec.words}. Or, where the nodes have it already: --pull never"
    found = offers.offer(recipe, sources, display.say, hint)
    return PodImage(found.remote.pinned, _used(found.candidate, found.remote.digest))


def _used(chosen: Candidate, digest: str | None) -> ImageUsed:
    return ImageUsed(tag=chosen.exact, id="", base=chosen.base.described, digest=digest)


def _on_this_host(known: list[Candidate]) -> Candidate:
    """Return the candidate that is here, which nodes have too if they were given the same; else the likely one."""
    try:
        found = present(glance.images(), known)
    except EngineError:
        found = None
    return found[0] if found else known[0]
