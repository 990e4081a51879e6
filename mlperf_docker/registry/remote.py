"""Image in a registry, and the protocol of registries. Free of requests; `client` has the implementation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Remote:
    """An image in a registry."""

    name: str
    """Without its tag."""
    digest: str
    """Of the manifest, or of the index that a tag names."""
    platforms: tuple[str, ...]
    """Those it is offered for, as "linux/amd64"."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the platform asked for; empty if it is not among them."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """Digest → compressed bytes, of the platform asked for."""

    @property
    def pinned(self) -> str:
        """The reference that can never name anything else."""
        return f"{self.name}@{self.digest}"


class Registries(Protocol):
    """The registries as one engine sees them."""

    @property
    def platform(self) -> str:
        """What the engine's images are for, as "linux/amd64"."""

    def describe(self, reference: str) -> Remote | None:
        """Return what *reference*, a name with a tag or digest, is; None where the registry has no such image.

        Raises RegistryError.
        """

    def tags(self, name: str) -> tuple[str, ...]:
        """Return the tags of the repository *name*, sorted; none where there is no such repository."""
