"""Protocol of a container runtime: what a run needs of it, whichever it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mlperf_docker.contract.devices import Device
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.container import ContainerExit
from mlperf_docker.engine.plan import ContainerUser, Limits, RunPlan
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import RuntimeName
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed, RuntimeUsed
from mlperf_docker.systems.runs_on import ContainerHost


@dataclass(frozen=True)
class ProvidedImage:
    """Image that is ready to run."""

    used: ImageUsed
    reference: str
    """What the runtime calls it: a name with a tag, or the path of a file or folder."""


class ContainerRunner(Protocol):
    """Runner of a container, wherever that is."""

    def run(
        self, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
    ) -> ContainerExit:
        """Run *plan* to its end, and hand over its output line by line. The container is gone afterwards."""


class Runtime(ContainerRunner, Protocol):
    """Runtime of containers on this host, or on that of its engine."""

    @property
    def name(self) -> RuntimeName:
        """Which runtime it is."""

    @property
    def unconfined(self) -> tuple[str, ...]:
        """What a container of ours is kept from elsewhere and not here, a sentence each."""

    def version(self) -> str:
        """Return its version, in its own words."""

    def require(self, device: Device, limits: Limits) -> None:
        """Raise what keeps it from a container with *device* and *limits*: EngineError, DeviceError, UsageError."""

    def provide(self, recipe: Recipe, sources: Sources, display: Display) -> ProvidedImage:
        """Return the image of *recipe*, fetched or made if it is not there."""

    def foreseen(self, recipe: Recipe, sources: Sources) -> str:
        """Return the reference that `provide` would end with, as far as can be told without a network."""

    def user(self) -> ContainerUser:
        """Return the user and the bounds of a container of the caller's."""

    def host(self) -> ContainerHost:
        """Return the host that the containers run on."""

    def argv(self, plan: RunPlan) -> list[str]:
        """Return the command equal to *plan*, for people."""

    def tidy(self, say: Callable[[str], None]) -> None:
        """Remove what a tool that was killed left behind."""


def used(runtime: Runtime) -> RuntimeUsed:
    """Return *runtime* as a result names it."""
    return RuntimeUsed(name=runtime.name, version=runtime.version(), unconfined=runtime.unconfined)
