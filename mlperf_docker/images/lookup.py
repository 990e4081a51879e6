"""Look-up of a cell's image on an engine, by the names that it may have there. Asks no network."""

from collections.abc import Sequence

from mlperf_docker.engine import glance
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Images
from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.errors import EngineError
from mlperf_docker.images import known_bases
from mlperf_docker.images.candidate import Candidate, candidate
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.identity import Identity


def candidates(client: Images, identity: Identity, sources: Sources) -> list[Candidate]:
    """Return the images that would serve, best base first.

    Last come images built elsewhere, whose base is not on this engine.
    """
    given = sources.given_base(identity.base)
    known = known_bases.local_bases(client, identity.base, given)
    identities = {base.identity for base in known}
    recorded = {each.identity: each for each in known_bases.recorded_bases(client, identity.cell, given)}
    known += [base for name, base in recorded.items() if name not in identities]
    return [candidate(identity, base, sources.registry) for base in known]


def present(client: Images, known: Sequence[Candidate]) -> tuple[Candidate, LocalImage] | None:
    """Return the first of *known* that is on the engine, with its image there."""
    for each in known:
        found = images.find(client, each.exact)
        if found is not None:
            return each, found
    return None


def likely_image(client: Images, identity: Identity, sources: Sources) -> tuple[str, bool]:
    """Return the tag that `provide` would end with, as far as no network tells, and whether it is here."""
    known = candidates(client, identity, sources)
    found = present(client, known)
    return (found[0].exact, True) if found else (known[0].exact, False)


def likely_images(identities: Sequence[Identity], sources: Sources) -> list[tuple[str, bool | None]]:
    """Return the likely tag of each image and whether it is here; None, on the pinned base, without an engine."""
    try:
        here = glance.images()
        return [likely_image(here, identity, sources) for identity in identities]
    except EngineError:
        return [(identity.tags(identity.base.digest, sources.registry)[0], None) for identity in identities]
