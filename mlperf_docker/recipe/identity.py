"""Identity of a cell's image: what its tags on any base are computed from.

Plain values: to look for an image takes no catalog, no template and no lock, so `list` can remember them.
"""

import hashlib
from dataclasses import dataclass

from mlperf_docker.catalog.pinned_base import PinnedBase

_HASH_DIGITS = 12


@dataclass(frozen=True)
class BaseName(PinnedBase):
    """The base that images.yaml pins for a cell."""

    reference: str
    digest: str
    suite: str


@dataclass(frozen=True)
class Identity:
    """The image of one cell, on any base."""

    cell: str
    inputs: str
    """Digest of the build inputs, in hexadecimal."""
    base: BaseName

    def __str__(self) -> str:
        return self.cell

    def content(self, base_identity: str) -> str:
        """Return the hash of the image on the base with this identity: 12 hex digits over inputs and base."""
        return hashlib.sha256(f"{self.inputs} {base_identity}".encode()).hexdigest()[:_HASH_DIGITS]

    def tags(self, base_identity: str, registry: str) -> tuple[str, str]:
        """Return the exact tag of the image on the base with this identity, and the tag that moves with every build."""
        return exact_tag(self.cell, self.content(base_identity), registry), moving_tag(self.cell, registry)


def exact_tag(cell: str, content: str, registry: str) -> str:
    """Return the tag of the image of *cell* with the hash *content*."""
    return f"{moving_tag(cell, registry)}-{content}"


def moving_tag(cell: str, registry: str) -> str:
    """Return the tag that moves with every build of *cell*."""
    return f"{registry}/{cell}"
