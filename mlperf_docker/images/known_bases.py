"""Bases that images may stand on: the pinned one, one made here, and those that images on an engine were built on."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlperf_docker.catalog.pinned_base import PinnedBase
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Images
from mlperf_docker.names import LABEL

BOOTSTRAP_NAME = "mlperf-docker/base"
GIVEN = "given"


@dataclass(frozen=True)
class Base:
    """A base image on this engine, or one that could be pulled."""

    reference: str
    """Argument of `FROM`."""
    identity: str
    """`sha256:…`, the registry's digest where it has one, else the image's id."""
    origin: str
    """Origin: local, pulled, bootstrapped or given."""

    @classmethod
    def recorded(cls, labels: Mapping[str, str]) -> "Base | None":
        """Return the base that an image with *labels* was built on, or None if they do not tell."""
        reference, identity, origin = (labels.get(f"{LABEL}.{key}") for key in ("base", "base.identity", "base.origin"))
        return cls(reference, identity, origin) if reference and identity and origin else None

    @property
    def described(self) -> str:
        """The base as results name it."""
        return f"{self.reference} ({self.origin})"

    @property
    def is_given(self) -> bool:
        """Whether somebody chose it with --base."""
        return self.origin == GIVEN


def local_bases(client: Images, base: PinnedBase, override: str | None = None) -> list[Base]:
    """Return the bases that an image may stand on, the preferred first, without asking any network.

    The pinned base is listed even if it is not local. A bootstrapped one is listed only if it is.
    """
    if override:
        given = images.find(client, override)
        return [Base(override, given.id if given else override, GIVEN)]
    found = bootstrapped(client, base)
    return [Base(base.pinned, base.digest, "local"), *([found] if found else [])]


def recorded_bases(client: Images, cell: str, override: str | None = None) -> list[Base]:
    """Return the bases that the images of *cell* on this engine were built on, as their labels tell.

    So an image is found that came from another host, by a registry or a bundle, without its base. One on a base of its
    builder's own choice counts only where that base is asked for by name and is not here itself.
    """
    if override and images.find(client, override) is not None:
        return []
    found = []
    for labels in images.our_labels(client):
        base = Base.recorded(labels)
        if base is None or labels.get(f"{LABEL}.cell") != cell:
            continue
        if base.is_given == bool(override) and override in (None, base.reference):
            found.append(base)
    return found


def bootstrap_tag(base: PinnedBase) -> str:
    """Return the name that a bootstrapped base goes by, which no registry has."""
    return f"{BOOTSTRAP_NAME}:{base.suite}"


def bootstrapped(client: Images, base: PinnedBase) -> Base | None:
    """Return the base that was made here in place of *base*, or None."""
    found = images.find(client, bootstrap_tag(base))
    return Base(bootstrap_tag(base), found.id, "bootstrapped") if found else None
