"""Prebuilt images: found in a registry, pulled, pushed; refused if they are not what their tag says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from mlperf_docker.engine import local_images as images
from mlperf_docker.engine import transfer
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.engine.transfer import LayerEvent, TransferListener
from mlperf_docker.errors import EngineError, RegistryError, UsageError
from mlperf_docker.images.candidate import Candidate, candidate, same_source
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.identity import Identity, moving_tag
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.registry.references import has_host
from mlperf_docker.registry.remote import Registries, Remote

_PIN_AGAIN = "Pin what is there: mlperf-docker campaign pin"
_TAGS_SHOWN = 12
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHORT_DIGEST = 12  # digits by which the engine's messages name a layer


class RegistryState(StrEnum):
    """State of an image after a transfer. present: it was here already, the same as in the registry."""

    PULLED = "pulled"
    PRESENT = "present"
    PUSHED = "pushed"


@dataclass(frozen=True)
class Offer:
    """An image that a registry has, and which of the cell's candidates it is."""

    candidate: Candidate
    remote: Remote


@dataclass(frozen=True)
class Moved:
    """An image that is now on this engine and in the registry alike."""

    candidate: Candidate
    id: str
    digest: str
    """Digest in the registry, `sha256:…`."""
    state: RegistryState
    size_bytes: int | None = None
    """Compressed size of the layers that were downloaded; None for a push."""


def find(
    registries: Registries, identity: Identity, known: Sequence[Candidate], *, other_bases: bool = True
) -> Offer | None:
    """Return the first of *known* that the registry has, else one of the same source on another base, else None.

    The moving tag is where that one is looked for. Raises RegistryError where the registry cannot be asked.
    """
    for each in known:
        remote = registries.describe(each.exact)
        if remote is not None:
            return Offer(each, remote)
    newest = registries.describe(known[0].moving) if other_bases else None
    if newest is None:
        return None
    other = same_source(identity, newest.labels, known[0].registry)
    return Offer(other, newest) if other else None


def pull(
    client: Engine,
    registries: Registries,
    recipe: Recipe,
    known: Sequence[Candidate],
    listener: TransferListener,
    *,
    digest: str | None = None,
    other_bases: bool = True,
) -> Moved:
    """Have the registry's image of *recipe* on the engine, under both of its tags. Raises RegistryError.

    Everything is looked at before a layer is moved; then it is pulled by its digest, so that what was looked at is what
    comes. digest: the only one that will do, if there is one.
    """
    require_host(known[0].registry, "pulled")
    offer = find(registries, recipe.identity, known, other_bases=other_bases)
    if offer is None:
        raise _not_offered(registries, recipe, known[0])
    _check(offer, recipe, registries.platform, digest)
    found, size = images.find(client, offer.remote.pinned), None
    if found is None:
        found, size = _pulled(client, offer.remote, listener)
    return _moved(client, found, offer.candidate, offer.remote.digest, size)


def pull_pinned(client: Engine, recipe: Recipe, registry: str, digest: str, listener: TransferListener) -> Moved:
    """Have the image of *recipe* with this *digest* on the engine, under both of its tags. Raises RegistryError.

    Whatever the registry's tags name by now. No network is asked where it is here.
    """
    reference = pinned_reference(recipe, registry, digest)
    here = images.find(client, reference)
    if here is not None:
        return _moved(client, here, of_recipe(recipe, reference, here.labels, registry), digest, None)
    require_host(registry, "pulled")
    offer = find_pinned(client.registries(listener.say), recipe, registry, digest)
    found, size = _pulled(client, offer.remote, listener)
    return _moved(client, found, offer.candidate, digest, size)


def find_pinned(registries: Registries, recipe: Recipe, registry: str, digest: str) -> Offer:
    """Return the registry's image of *recipe* with this *digest*. Raises RegistryError where there is none."""
    reference = pinned_reference(recipe, registry, digest)
    remote = registries.describe(reference)
    if remote is None:
        raise RegistryError(f"The registry has no {reference}.", hint=f"{_PIN_AGAIN}, or push it again.")
    offer = Offer(of_recipe(recipe, reference, remote.labels, registry), remote)
    _check(offer, recipe, registries.platform, digest)
    return offer


def pinned_reference(recipe: Recipe, registry: str, digest: str) -> str:
    """Return the reference of the image with *digest*: no tag is in it, as tags move."""
    return f"{moving_tag(str(recipe), registry).rpartition(':')[0]}@{digest}"


def of_recipe(recipe: Recipe, reference: str, labels: Mapping[str, str], registry: str) -> Candidate:
    """Return what *reference* is. Raises RegistryError where *recipe* makes another image."""
    base = Base.recorded(labels)
    found = candidate(recipe.identity, base, registry) if base else None
    if found is None or found.content != labels.get(f"{LABEL}.hash"):
        raise RegistryError(
            f"{reference} is not the image of {recipe} that this version of the tool runs.",
            hint=f"Take the version that it was pinned with, or push this one's image. {_PIN_AGAIN}.",
        )
    return found


def _pulled(client: Engine, remote: Remote, listener: TransferListener) -> tuple[LocalImage, int]:
    """Pull *remote*, and return it with the bytes that had to come."""
    size = _pull(client, remote, listener)
    found = images.find(client, remote.pinned)
    if found is None:
        raise RegistryError(f"{remote.pinned} was pulled, and is not there.", hint="See: mlperf-docker doctor")
    return found, size


def _moved(client: Engine, found: LocalImage, chosen: Candidate, digest: str, size: int | None) -> Moved:
    """Give *found* both tags. size: bytes that were pulled; None where it was here."""
    with _named(client, found, chosen):
        pass
    state = RegistryState.PRESENT if size is None else RegistryState.PULLED
    return Moved(chosen, found.id, digest, state, size or 0)


def push(
    client: Engine,
    recipe: Recipe,
    known: Sequence[Candidate],
    built_as: Sequence[Candidate],
    listener: TransferListener,
) -> Moved:
    """Push the local image of *recipe*: its exact tag, then the moving one. Raises RegistryError.

    built_as: the same under the registry that it may have been built for; it gets the tags of *known* then.
    """
    require_host(known[0].registry, "pushed")
    chosen, found = _local(client, recipe, known, built_as)
    _check_labels(found.labels, chosen, recipe)
    with _named(client, found, chosen):
        digest = transfer.push(client, chosen.exact, listener)
        moving = transfer.push(client, chosen.moving, listener)
    if moving != digest:
        raise RegistryError(
            f"{chosen.moving} was pushed as {moving}, and {chosen.exact} as {digest}: they should be one image.",
            hint="Did another build move the tag meanwhile? Run the same command again.",
        )
    return Moved(chosen, found.id, digest, RegistryState.PUSHED)


def require_host(registry: str, done: str) -> None:
    """Raise RegistryError unless *registry* names a host. done: what cannot be done otherwise, a participle."""
    if not has_host(registry):
        raise RegistryError(
            f"Nothing can be {done}: the registry {registry!r} names no host.",
            hint="Name one with --registry HOST/PATH or MLPERF_DOCKER_REGISTRY.",
        )


def check_digest(digest: str, chosen: Sequence[object]) -> None:
    """Raise UsageError unless *digest* is one, and of one image only."""
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"--digest {digest} is no digest.", hint="It is what push prints after the @: sha256:….")
    if len(chosen) > 1:
        raise UsageError(f"--digest is of one image, and {len(chosen)} are to be pulled at once.")


def _pull(client: Engine, remote: Remote, listener: TransferListener) -> int:
    """Pull *remote* and return the bytes of the layers that had to come."""
    sizes = {digest.partition(":")[2][:_SHORT_DIGEST]: size for digest, size in remote.layers.items()}
    came: set[str] = set()

    def hear(event: LayerEvent) -> None:
        if event.state == "Download complete":
            came.add(event.layer)
        listener.on_layer(event)

    transfer.pull(client, remote.pinned, TransferListener(hear, listener.say, listener.waits_s))
    return sum(sizes.get(layer, 0) for layer in came)


def _local(
    client: Engine, recipe: Recipe, known: Sequence[Candidate], built_as: Sequence[Candidate]
) -> tuple[Candidate, LocalImage]:
    """Return the candidate whose image is here, under its own name or the one that it was built with."""
    by_content = {each.content: each for each in known}
    for named in (*known, *built_as):
        found = images.find(client, named.exact)
        if found is not None and named.content in by_content:
            return by_content[named.content], found
    raise RegistryError(
        f"{known[0].exact} cannot be pushed: it is not on this engine.",
        hint=f"Build it: mlperf-docker build {recipe.words} --push",
    )


@contextmanager
def _named(client: Engine, image: LocalImage, candidate: Candidate) -> Iterator[None]:
    """Give the image both tags; where what is done under them fails, they are again as they were before.

    An image that loses its last name by that is removed at the end, as after a rebuild.
    """
    before: dict[str, LocalImage | None] = {}
    try:
        for reference in (candidate.exact, candidate.moving):
            if reference not in image.tags:
                before[reference] = images.find(client, reference)
                client.tag(image.id, reference)
        yield
    except BaseException:
        for reference, old in before.items():
            _untag(client, reference, old)
        raise
    for old in before.values():
        if old is not None and old.id != image.id:
            images.remove_untagged(client, old.id)


def _untag(client: Engine, reference: str, old: LocalImage | None) -> None:
    """Give *reference* back to the image that had it, or take it away; an engine that is gone keeps it as it is."""
    with suppress(EngineError):
        if old is None:
            client.remove_image(reference)
        else:
            client.tag(old.id, reference)


def _check(offer: Offer, recipe: Recipe, platform: str, digest: str | None) -> None:
    """Raise RegistryError unless the offer is for this engine, is what its tag says, and has *digest*, if given."""
    remote, candidate = offer.remote, offer.candidate
    if digest and remote.digest != digest:
        raise RegistryError(
            f"{candidate.exact} has the digest {remote.digest} in the registry, not {digest}.",
            hint="Somebody pushed another image under this tag, or the digest is of another one. To take what is there,"
            " leave --digest away.",
        )
    if platform not in remote.platforms:
        raise RegistryError(
            f"{candidate.exact} is for {', '.join(remote.platforms)}, and this engine is {platform}.",
            hint=f"Build it here: mlperf-docker build {recipe.words}",
        )
    _check_labels(remote.labels, candidate, recipe)


def _check_labels(labels: Mapping[str, str], candidate: Candidate, recipe: Recipe) -> None:
    wanted = {"cell": str(recipe), "hash": candidate.content}
    for key, value in wanted.items():
        found = labels.get(f"{LABEL}.{key}")
        if found != value:
            raise RegistryError(
                f"{candidate.exact} is not what its tag says: its label {LABEL}.{key} is {found!r}, not {value!r}.",
                hint="Something else was pushed under this tag. Build the image, and push it again.",
            )


def _not_offered(registries: Registries, recipe: Recipe, wanted: Candidate) -> RegistryError:
    """Say which tags there are, those of the same backend and device first, and which source the newest is of."""
    tags = registries.tags(wanted.repository)
    ordered = sorted(tags, key=lambda tag: not tag.startswith(recipe.spec.variant))
    more = f" and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
    there = f"It has: {', '.join(ordered[:_TAGS_SHOWN])}{more}." if tags else "It has no repository of that name."
    moving = wanted.moving.rpartition(":")[2]
    newest = registries.describe(wanted.moving) if moving in tags else None
    revision = newest.labels.get("org.opencontainers.image.revision") if newest else None
    of = f" (the newest, {moving}, is of revision {revision})" if revision else ""
    return RegistryError(
        f"{wanted.exact} is not in the registry. {there}",
        hint=f"The hash is of this source tree and its base: take the version of this tool that was pushed{of},"
        f" or build and push this one: mlperf-docker build {recipe.words} --push",
    )
