"""An image in a registry, and the questions that registries answer. Free of requests; `registry` has the client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Remote:
    """An image in a registry. name: without its tag; digest: of the manifest, or of the index that a tag names.

    platforms: those it is offered for, as "linux/amd64"; labels, layers (digest → compressed bytes): of the platform
    asked for, empty where it is not among them.
    """

    name: str
    digest: str
    platforms: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, int] = field(default_factory=dict)

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
