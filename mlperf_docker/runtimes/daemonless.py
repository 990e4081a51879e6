"""Runtimes without a daemon: an image that is a file or a folder of this node, and one command for each container."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from mlperf_docker.bundle import node_images
from mlperf_docker.contract import places
from mlperf_docker.contract.devices import Device
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import facts
from mlperf_docker.engine.container import ContainerExit
from mlperf_docker.engine.plan import ContainerUser, Limits, RunPlan
from mlperf_docker.errors import DeviceError, EngineError, UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import RuntimeName
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.runtimes import process, this_host
from mlperf_docker.runtimes.rendering import KINDS, CommandKind, image_variables
from mlperf_docker.runtimes.runtime import ProvidedImage
from mlperf_docker.systems.runs_on import ContainerHost


class CommandRuntime:
    """Runtime that is one command for each container, which ends with it; nothing is left to tidy."""

    def __init__(self, name: RuntimeName) -> None:
        self.name = name
        self._kind: CommandKind = KINDS[name]
        self._variables = image_variables(LAYOUT.environment)

    @property
    def unconfined(self) -> tuple[str, ...]:
        """What this runtime cannot keep a container from."""
        return self._kind.unconfined

    @cached_property
    def _version(self) -> str:
        said = process.ask([self._kind.program, *self._kind.version]).split()
        return said[-1] if said else "unknown"

    def version(self) -> str:
        """Return the last word of what the program says of its version."""
        return self._version

    def require(self, device: Device, limits: Limits) -> None:
        """Raise EngineError where it is not installed, UsageError and DeviceError for what it cannot give."""
        kind = self._kind
        self.version()
        if kind.proof is not None and kind.proof not in process.ask([kind.program, "--help"]):
            raise EngineError(f"{kind.program} has no {kind.proof}: the plug-in {self.name} is not installed.")
        asked = {"memory": limits.memory_bytes, "cpus": limits.cpus, "cpuset": limits.cpuset}
        refused = [f"--{name}" for name, value in asked.items() if value and name not in kind.limits]
        if refused:
            raise UsageError(
                f"{kind.program} cannot set {' and '.join(refused)}.",
                hint="Leave it to Slurm: --mem, --cpus-per-task.",
            )
        facts.require_here(device)
        if device.profile.signs and not kind.has_gpus:
            raise DeviceError(f"--device {device} needs a GPU, which {self.name} cannot hand to a container.")

    def provide(self, recipe: Recipe, sources: Sources, display: Display) -> ProvidedImage:
        """Return the bundle's image as this runtime takes it, made once for each node. Raises UsageError."""
        image = self._bundled(recipe, sources)
        path = node_images.image_file(image, self._kind.image, display)
        return ProvidedImage(image.used, str(path))

    def foreseen(self, recipe: Recipe, sources: Sources) -> str:
        """Return the place that a bundle has for the image."""
        image = self._bundled(recipe, sources)
        return str(image.bundle / self._kind.image.place(image.name))

    def user(self) -> ContainerUser:
        """Return the caller."""
        return this_host.user()

    def host(self) -> ContainerHost:
        """Return this host."""
        return this_host.host(self.name, self.version())

    def run(
        self, plan: RunPlan, *, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]
    ) -> ContainerExit:
        """Run the command of *plan*."""
        if self._kind.needs_mount_points:
            _make_mount_points(plan)
        held = {**self._all(plan), places.LIFELINE_VARIABLE: "1"}
        argv, environment = self._kind.render(plan, held), self._kind.variables(plan)
        return process.run(argv, environment, on_stdout=on_stdout, on_stderr=on_stderr)

    def argv(self, plan: RunPlan) -> list[str]:
        """Return the command of *plan*."""
        return self._kind.render(plan, self._all(plan))

    def tidy(self, say: Callable[[str], None]) -> None:
        """Nothing: a container is a process of the tool's, and ends by its stdin."""

    def _all(self, plan: RunPlan) -> dict[str, str]:
        return {**self._variables, **dict(plan.environment)}

    def _bundled(self, recipe: Recipe, sources: Sources) -> node_images.BundledImage:
        """Return the bundle's image, and keep what variables it has."""
        self._variables = image_variables({**LAYOUT.environment, **recipe.spec.environment})
        return node_images.find(node_images.require_bundle(sources), recipe, sources.registry)


def _make_mount_points(plan: RunPlan) -> None:
    """Make what the unpacked image of this node lacks of places to mount at: empty files and folders."""
    for mount in plan.mounts:
        place = Path(plan.image) / mount.container.lstrip("/")
        if mount.host.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(exist_ok=True)
