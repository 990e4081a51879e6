"""Get the image of a cell: take it, pull it or build it, and say which."""

import contextlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mlperf_docker import __version__, digests, paths, render
from mlperf_docker.catalog import Catalog
from mlperf_docker.digests import BuildInputs, Origin
from mlperf_docker.engine import base as bases
from mlperf_docker.engine import glance
from mlperf_docker.engine import image as images
from mlperf_docker.engine.base import Base
from mlperf_docker.engine.hostnet import HostSettings
from mlperf_docker.engine.image import Images
from mlperf_docker.engine.protocol import Builder, BuildRequest
from mlperf_docker.errors import EngineError, RegistryError, UsageError
from mlperf_docker.names import PullPolicy
from mlperf_docker.progress import BuildProgress, Display
from mlperf_docker.results import ImageUsed
from mlperf_docker.selector import parse_choice
from mlperf_docker.spec import ImageSpec

if TYPE_CHECKING:
    from mlperf_docker.engine.client import Engine

_GIT_TIMEOUT_S = 5


@dataclass(frozen=True)
class Sources:
    """Where an image may come from.

    registry: names the images; base: an image to build on instead of the cell's own, or ""; bootstrap: whether a base
    may be made from the Debian mirror; pull: when the registry is asked; rebuild: run every step again; cached: take
    layers from the image that the cell's moving tag names, on the engine or in the registry.
    """

    registry: str
    base: str = ""
    bootstrap: bool = False
    pull: PullPolicy = PullPolicy.NEVER
    rebuild: bool = False
    cached: bool = False

    @property
    def has_registry(self) -> bool:
        """Whether the registry names a host. A bare name would be a stranger's namespace on Docker Hub."""
        host = self.registry.partition("/")[0]
        return "." in host or ":" in host or host == "localhost"


def sources_of(catalog: Catalog, registry: str, *, base: str, bootstrap: bool, pull: str) -> Sources:
    """Return what a command's options say. pull: a word of the command line. Raises UnknownNameError."""
    policy = parse_choice("pull policy", pull, PullPolicy)
    return Sources(registry or catalog.registry, base=base, bootstrap=bootstrap, pull=policy)


@dataclass(frozen=True)
class Candidate:
    """One way the cell's image can be: on this base, with this hash."""

    base: Base
    content: str
    exact: str
    moving: str


def candidates(client: Images, spec: ImageSpec, sources: Sources) -> list[Candidate]:
    """Return the images that would serve, best base first, without asking any network."""
    inputs = render.build_inputs(spec)
    known = bases.local_bases(client, spec.base, sources.base)
    identities = {base.identity for base in known}
    recorded = {each.identity: each for each in bases.recorded_bases(client, str(spec), sources.base)}
    known += [base for identity, base in recorded.items() if identity not in identities]
    return [_candidate(spec, inputs, base, sources) for base in known]


def likely_image(client: Images, spec: ImageSpec, sources: Sources) -> tuple[str, bool]:
    """Return the tag that `provide` would end with, as far as no network tells, and whether it is here."""
    known = candidates(client, spec, sources)
    present = _present(client, known)
    return (present.tag, True) if present else (known[0].exact, False)


def likely_images(specs: Iterable[ImageSpec], sources: Sources) -> list[tuple[str, bool | None]]:
    """Return the likely tag of each of *specs* and whether it is here; None, on the pinned base, without an engine."""
    specs = tuple(specs)
    try:
        here = glance.images()
        return [likely_image(here, spec, sources) for spec in specs]
    except EngineError:
        return [(pinned_tag(spec, sources), None) for spec in specs]


def pinned_tag(spec: ImageSpec, sources: Sources) -> str:
    """Return the exact tag of *spec* on its own, pinned base; needs no engine."""
    content = digests.content_hash(render.build_inputs(spec), spec.base.digest)
    return digests.tags(spec, content, sources.registry)[0]


def provide(client: "Engine", builder: Builder, spec: ImageSpec, sources: Sources, display: Display) -> ImageUsed:
    """Return the image of *spec*: a local one of the exact hash, else a pulled, else a freshly built one.

    With PullPolicy.ALWAYS only the registry's image will do. Raises RegistryError, and what a build raises.
    """
    known = candidates(client, spec, sources)
    if sources.pull is PullPolicy.ALWAYS:
        return _pull(client, known[0], sources, display)
    if not sources.rebuild:
        present = _present(client, known)
        if present is not None:
            display.say(f"Image {present.tag}: present.")
            return present
        if sources.pull is PullPolicy.MISSING and sources.has_registry:
            try:
                return _pull(client, known[0], sources, display)
            except RegistryError as error:
                display.say(f"Image {known[0].exact}: not pulled ({error}); building it.")
    return _build(client, builder, spec, sources, display)


def _candidate(spec: ImageSpec, inputs: BuildInputs, base: Base, sources: Sources) -> Candidate:
    content = digests.content_hash(inputs, base.identity)
    exact, moving = digests.tags(spec, content, sources.registry)
    return Candidate(base, content, exact, moving)


def _present(client: Images, known: list[Candidate]) -> ImageUsed | None:
    for candidate in known:
        found = images.find(client, candidate.exact)
        if found is not None:
            return ImageUsed(tag=candidate.exact, id=found.id, base=_describe(candidate.base))
    return None


def _pull(client: "Engine", candidate: Candidate, sources: Sources, display: Display) -> ImageUsed:
    from docker.errors import APIError

    from mlperf_docker.engine.client import explanation

    if not sources.has_registry:
        raise RegistryError(
            f"{candidate.exact} cannot be pulled: the registry {sources.registry!r} names no host.",
            hint="Name one with --registry HOST/PATH or MLPERF_DOCKER_REGISTRY, or build the image: --pull missing.",
        )
    display.phase(f"pull {candidate.exact}")
    try:
        for message in client.pull(candidate.exact, stream=True, decode=True):
            if "error" in message:
                raise RegistryError(f"{candidate.exact} cannot be pulled: {message['error']}")
    except APIError as error:
        raise RegistryError(f"{candidate.exact} cannot be pulled: {explanation(error)}") from error
    found = images.find(client, candidate.exact)
    if found is None:
        raise RegistryError(f"{candidate.exact} was pulled, and is not there.", hint="See: mlperf-docker doctor")
    display.say(f"Image {candidate.exact}: pulled.")
    return ImageUsed(tag=candidate.exact, id=found.id, base=_describe(candidate.base))


def _build(client: "Engine", builder: Builder, spec: ImageSpec, sources: Sources, display: Display) -> ImageUsed:
    if sources.cached and not sources.has_registry:
        raise UsageError(
            f"The registry {sources.registry!r} names no host, so no layers can be taken from it.",
            hint="Name one with --registry HOST/PATH or MLPERF_DOCKER_REGISTRY, or leave out --registry-cache.",
        )
    base = bases.resolve_base(client, spec.base, override=sources.base, bootstrap=sources.bootstrap, say=display.say)
    inputs = render.build_inputs(spec)
    candidate = _candidate(spec, inputs, base, sources)
    display.phase(f"build {candidate.exact}")
    origin = Origin(
        base_reference=base.reference,
        base_identity=base.identity,
        base_origin=base.origin,
        revision=revision(),
        version=__version__,
    )
    request = BuildRequest(
        inputs=inputs,
        base_reference=base.reference,
        tags=(candidate.exact, candidate.moving),
        labels=digests.labels(spec, inputs, candidate.content, origin),
        no_cache=sources.rebuild,
        cache_from=candidate.moving if sources.cached else "",
        host=HostSettings.from_environ(),
    )
    before = images.find(client, candidate.exact)
    image = builder.build(request, on_event=BuildProgress(display).show)
    if before is not None and before.id != image:
        remove_untagged(client, before.id)
    display.say(f"Image {candidate.exact}: built on {_describe(base)}.")
    return ImageUsed(tag=candidate.exact, id=image, base=_describe(base))


def remove_untagged(client: "Engine", image: str) -> None:
    """Remove an image that a rebuild took the tag from, unless it has another name or is in use."""
    from docker.errors import APIError

    found = images.find(client, image)
    if found is not None and not found.tags:
        with contextlib.suppress(APIError):
            client.remove_image(image)


def _describe(base: Base) -> str:
    return f"{base.reference} ({base.origin})"


@cache
def revision() -> str:
    """Return the commit of the checkout that the tool runs from, or "unknown" for an installed wheel."""
    argv = ["git", "-C", str(paths.assets()), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
