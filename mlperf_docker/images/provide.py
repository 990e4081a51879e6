"""Provision of a cell's image: taken from the engine, pulled or built."""

from dataclasses import replace

from mlperf_docker import __version__
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images
from mlperf_docker.engine.transfer import TransferListener
from mlperf_docker.errors import BaseImageError, RegistryError
from mlperf_docker.images import bases, prebuilt
from mlperf_docker.images.building.builder import Builder, BuildRequest
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.lookup import candidates, present
from mlperf_docker.images.prebuilt import Moved
from mlperf_docker.images.progress import BuildProgress, TransferProgress
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.origin import Origin, revision
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed


def provide(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    """Return the image of *recipe*: a local one of the exact hash, else a pulled, else a freshly built one.

    With PullPolicy.ALWAYS only the registry's image will do, with a digest only the one that has it. Raises
    RegistryError, and what a build raises.
    """
    if sources.digest is not None:
        return _pinned(client, recipe, sources.registry, sources.digest, display)
    known = candidates(client, recipe.identity, sources)
    if sources.pull is PullPolicy.ALWAYS:
        return _pull(client, recipe, known, sources, display)
    if not sources.rebuild:
        here = _present(client, known)
        if here is not None:
            display.say(f"Image {here.tag}: present.")
            return here
        if sources.pull is PullPolicy.MISSING and sources.has_registry:
            try:
                return _pull(client, recipe, known, sources, display)
            except RegistryError as error:
                reason = str(error).splitlines()[0]
                display.say(f"Image {known[0].exact}: not pulled ({reason}); building it.")
    return _build(client, builder, recipe, sources, display)


def _present(client: Images, known: list[Candidate]) -> ImageUsed | None:
    found = present(client, known)
    if found is None:
        return None
    each, image = found
    return each.used(image)


def _pinned(client: Engine, recipe: Recipe, registry: str, digest: str, display: Display) -> ImageUsed:
    display.phase(f"find {recipe} {digest}")
    listener = TransferListener(TransferProgress(display, str(recipe)).show, display.say)
    return _used(prebuilt.pull_pinned(client, recipe, registry, digest, listener), display)


def _used(moved: Moved, display: Display) -> ImageUsed:
    exact, base = moved.candidate.exact, moved.candidate.base.described
    display.say(f"Image {exact}: {moved.state}.")
    return ImageUsed(tag=exact, id=moved.id, base=base, digest=moved.digest)


def _pull(client: Engine, recipe: Recipe, known: list[Candidate], sources: Sources, display: Display) -> ImageUsed:
    display.phase(f"pull {known[0].exact}")
    listener = TransferListener(TransferProgress(display, str(recipe)).show, display.say)
    registries = client.registries(display.say)
    pulled = prebuilt.pull(
        client, registries, recipe, known, listener, other_bases=not sources.given_base(recipe.identity.base)
    )
    return _used(pulled, display)


def _build(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    base, reference = _standing(client, builder, recipe, sources, display)
    wanted = candidate(recipe.identity, base, sources.registry)
    display.phase(f"build {wanted.exact}")
    origin = Origin(
        base_reference=base.reference,
        base_identity=base.identity,
        base_origin=base.origin,
        revision=revision(),
        version=__version__,
    )
    request = BuildRequest(
        inputs=recipe.inputs,
        base_reference=reference,
        tags=(wanted.exact, wanted.moving),
        labels=recipe.labels(origin),
        no_cache=sources.rebuild,
        cache_from=wanted.moving if sources.cached else None,
        host=HostSettings.from_environ(),
        base_identity=base.identity,
    )
    before = images.find(client, wanted.exact)
    image = builder.build(request, on_event=BuildProgress(display).show)
    if before is not None and before.id != image:
        images.remove_untagged(client, before.id)
    display.say(f"Image {wanted.exact}: built on {base.described}.")
    return ImageUsed(tag=wanted.exact, id=image, base=base.described)


def _standing(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> tuple[Base, str]:
    """Return the base of the image of *recipe*, and the image to build on: the base, or the cell's image on it."""
    pinned = recipe.identity.base
    if recipe.below is None:
        base = bases.resolve_base(
            client, pinned, override=sources.given_base(pinned), bootstrap=sources.bootstrap, say=display.say
        )
        return base, base.reference
    tag = provide(client, builder, recipe.below, replace(sources, rebuild=False), display).tag
    image = images.find(client, tag)
    recorded = Base.recorded(image.labels) if image else None
    if recorded is None:
        raise BaseImageError(
            f"{tag} does not tell what it was built on.", hint=f"Build it: mlperf-docker build {recipe.spec.words}"
        )
    return recorded, tag
