"""Docker engine, and what speaks its API, as a runtime."""

from collections.abc import Callable

from mlperf_docker.bundle.node_images import find as bundled
from mlperf_docker.bundle.node_images import provide, require_bundle
from mlperf_docker.contract.devices import Device
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import facts, glance, local_images
from mlperf_docker.engine.client import connect
from mlperf_docker.engine.container import ContainerExit, remove_orphans, run_container
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.plan import ContainerUser, Limits, RunPlan, run_argv
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.lookup import likely_images
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import RuntimeName
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.runtimes.runtime import ProvidedImage
from mlperf_docker.systems.runs_on import ContainerHost, container_host


class DockerRuntime:
    """The engine at DOCKER_HOST. It is connected to when first needed, so that a dry run does without one."""

    name = RuntimeName.DOCKER
    unconfined: tuple[str, ...] = ()

    def __init__(self, client: Engine | None = None) -> None:
        self._client = client

    @property
    def client(self) -> Engine:
        """The engine. Raises EngineError where none can be used."""
        if self._client is None:
            self._client = connect()
        return self._client

    def version(self) -> str:
        """Return the engine's version."""
        return str(self.client.version().get("Version", "unknown"))

    def require(self, device: Device, limits: Limits) -> None:
        """Raise DeviceError unless the engine can hand *device* to a container; of limits it tells at the start."""
        del limits
        facts.require_device(self.client, device)

    def provide(self, recipe: Recipe, sources: Sources, display: Display) -> ProvidedImage:
        """Return the engine's image of *recipe*, taken from a bundle, pulled or built if it is not there."""
        image = provide(self.client, builder_of(self.client), recipe, sources, display)
        return ProvidedImage(image, image.tag)

    def size_bytes(self, image: str) -> int:
        """Return the size of *image*, 0 where the engine has none of that name."""
        found = local_images.find(self.client, image)
        return found.size_bytes if found else 0

    def foreseen(self, recipe: Recipe, sources: Sources) -> str:
        """Return the likely tag."""
        if sources.bundle is not None:
            return bundled(require_bundle(sources), recipe, sources.registry).used.tag
        ((tag, _),) = likely_images([recipe.identity], sources)
        return tag

    def user(self) -> ContainerUser:
        """Return what follows from the engine's words about itself; without an engine, from this host."""
        return surroundings(self._client.info() if self._client else glance.info())

    def host(self) -> ContainerHost:
        """Return the engine's host."""
        return container_host(self.client)

    def run(
        self, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
    ) -> ContainerExit:
        """Run *plan* through the engine's API."""
        return run_container(self.client, plan, on_stdout=on_stdout, on_stderr=on_stderr)

    def argv(self, plan: RunPlan) -> list[str]:
        """Return the equal `docker run`."""
        return run_argv(plan)

    def tidy(self, say: Callable[[str], None]) -> None:
        """Remove containers whose tool was killed."""
        for name in remove_orphans(self.client):
            say(f"Removed container {name}: the tool that started it was killed.")
