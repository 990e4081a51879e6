"""Options of commands that run a benchmark, as the limits of its container."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlperf_docker.cli.options import in_place_of, keywords

if TYPE_CHECKING:
    from mlperf_docker.engine.plan import Limits

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "cpus": (Annotated[float | None, typer.Option(min=0, help="Processors, as in docker: 1.5.")], None),
    "cpuset": (Annotated[str, typer.Option(help="Which processors, as in docker: 0-3,6.")], ""),
    "memory": (Annotated[str, typer.Option(help="Memory limit, as in docker: 8g, 1.5GiB.")], ""),
    "gpus": (Annotated[str, typer.Option(help="GPUs, as in docker: all, 2, device=0. Default on GPUs: all.")], ""),
}
"""Type and default of each, by name."""


@dataclass(frozen=True)
class GivenLimits:
    """The options as they were typed."""

    cpus: float | None
    cpuset: str
    memory: str
    gpus: str

    def limits(self) -> "Limits":
        """Return what they say."""
        from mlperf_docker.engine.plan import Limits

        return Limits(self.cpus, self.cpuset or None, self.memory or None, self.gpus or None)


taking_limits = in_place_of(
    "limits",
    keywords(_OPTIONS),
    lambda values: GivenLimits(**values),
)
"""Gives a command these options in place of its parameter `limits`."""
