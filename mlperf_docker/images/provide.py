"""Get the image of a cell: take it, pull it or build it, and say which."""

from collections.abc import Sequence

from mlperf_docker import __version__
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import glance
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images
from mlperf_docker.engine.transfer import TransferListener
from mlperf_docker.errors import EngineError, RegistryError
from mlperf_docker.images import bases, prebuilt
from mlperf_docker.images.bases import Base
from mlperf_docker.images.building.builder import Builder, BuildRequest
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.images.progress import BuildProgress, TransferProgress
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.origin import Origin, revision
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed


def candidates(client: Images, recipe: Recipe, sources: Sources) -> list[Candidate]:
    """Return the images that would serve, best base first, without asking any network.

    The last ones may have been pulled or loaded, on bases that only the machine has where they were built.
    """
    given = sources.given_base(recipe.spec)
    known = bases.local_bases(client, recipe.spec.base, given)
    identities = {base.identity for base in known}
    recorded = {each.identity: each for each in bases.recorded_bases(client, str(recipe), given)}
    known += [base for identity, base in recorded.items() if identity not in identities]
    return [candidate(recipe, base, sources.registry) for base in known]


def likely_image(client: Images, recipe: Recipe, sources: Sources) -> tuple[str, bool]:
    """Return the tag that `provide` would end with, as far as no network tells, and whether it is here."""
    known = candidates(client, recipe, sources)
    present = _present(client, known)
    return (present.tag, True) if present else (known[0].exact, False)


def likely_images(recipes: Sequence[Recipe], sources: Sources) -> list[tuple[str, bool | None]]:
    """Return the likely tag of each recipe and whether it is here; None, on the pinned base, without an engine."""
    try:
        here = glance.images()
        return [likely_image(here, recipe, sources) for recipe in recipes]
    except EngineError:
        return [(recipe.tags(recipe.spec.base.digest, sources.registry)[0], None) for recipe in recipes]


def provide(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    """Return the image of *recipe*: a local one of the exact hash, else a pulled, else a freshly built one.

    With PullPolicy.ALWAYS only the registry's image will do. Raises RegistryError, and what a build raises.
    """
    known = candidates(client, recipe, sources)
    if sources.pull is PullPolicy.ALWAYS:
        return _pull(client, recipe, known, sources, display)
    if not sources.rebuild:
        present = _present(client, known)
        if present is not None:
            display.say(f"Image {present.tag}: present.")
            return present
        if sources.pull is PullPolicy.MISSING and sources.has_registry:
            try:
                return _pull(client, recipe, known, sources, display)
            except RegistryError as error:
                reason = str(error).splitlines()[0]
                display.say(f"Image {known[0].exact}: not pulled ({reason}); building it.")
    return _build(client, builder, recipe, sources, display)


def _present(client: Images, known: list[Candidate]) -> ImageUsed | None:
    for each in known:
        found = images.find(client, each.exact)
        if found is not None:
            digest = found.digest_in(each.repository)
            return ImageUsed(tag=each.exact, id=found.id, base=_describe(each.base), digest=digest)
    return None


def _pull(client: Engine, recipe: Recipe, known: list[Candidate], sources: Sources, display: Display) -> ImageUsed:
    display.phase(f"pull {known[0].exact}")
    listener = TransferListener(TransferProgress(display, str(recipe)).show, display.say)
    registries = client.registries(display.say)
    pulled = prebuilt.pull(client, registries, recipe, known, listener, other_bases=not sources.given_base(recipe.spec))
    exact, base = pulled.candidate.exact, _describe(pulled.candidate.base)
    display.say(f"Image {exact}: {pulled.state}.")
    return ImageUsed(tag=exact, id=pulled.id, base=base, digest=pulled.digest)


def _build(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    spec = recipe.spec
    base = bases.resolve_base(
        client, spec.base, override=sources.given_base(spec), bootstrap=sources.bootstrap, say=display.say
    )
    wanted = candidate(recipe, base, sources.registry)
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
        base_reference=base.reference,
        tags=(wanted.exact, wanted.moving),
        labels=recipe.labels(origin),
        no_cache=sources.rebuild,
        cache_from=wanted.moving if sources.cached else "",
        host=HostSettings.from_environ(),
        base_identity=base.identity,
    )
    before = images.find(client, wanted.exact)
    image = builder.build(request, on_event=BuildProgress(display).show)
    if before is not None and before.id != image:
        images.remove_untagged(client, before.id)
    display.say(f"Image {wanted.exact}: built on {_describe(base)}.")
    return ImageUsed(tag=wanted.exact, id=image, base=_describe(base))


def _describe(base: Base) -> str:
    return f"{base.reference} ({base.origin})"
