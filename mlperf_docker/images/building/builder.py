"""Interface of builders: the request, the events, the protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mlperf_docker.recipe.build_inputs import BuildInputs
from mlperf_docker.recipe.host_settings import HostSettings


@dataclass(frozen=True)
class BuildRequest:
    """Request to build one image."""

    inputs: BuildInputs
    base_reference: str
    """Argument of `FROM ${BASE}`; must be on the engine already."""
    tags: tuple[str, ...]
    labels: dict[str, str]
    host: HostSettings
    no_cache: bool = False
    cache_from: str | None = None
    """An image whose layers serve as the cache, from the engine or its registry; the image that is built then serves
    so, too."""
    base_identity: str | None = None
    """The base's digest or id, for the image's bill of materials; None where it is the reference."""


class BuildEventKind(StrEnum):
    """Kind of an event."""

    STARTED = "started"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    LOG = "log"
    PROGRESS = "progress"


@dataclass(frozen=True)
class BuildEvent:
    """Event of a build."""

    kind: BuildEventKind
    step: str
    text: str = ""
    """A line of output (LOG), the reason (FAILED), or what is being transferred (PROGRESS)."""
    current: int = 0
    """Bytes so far (PROGRESS)."""
    total: int = 0
    """Bytes in all (PROGRESS)."""
    seconds: float = 0.0
    """How long the step took (DONE)."""


class Builder(Protocol):
    """Turns a request into an image."""

    def build(self, request: BuildRequest, *, on_event: Callable[[BuildEvent], None]) -> str:
        """Return the image's id, `sha256:…`. Raises BuildError, which names the log with all output."""
