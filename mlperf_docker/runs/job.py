"""A harness command in a container: image provided, container run, reply read."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.client import connect
from mlperf_docker.engine.container import remove_orphans
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.facts import require_device
from mlperf_docker.engine.plan import BindMount, Limits, RunPlan
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.provide import provide
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results import values
from mlperf_docker.runs.runner import execute
from mlperf_docker.system import folders, paths


@dataclass(frozen=True)
class HarnessJob:
    """A command of the harness in a container of a cell: everything but the image, which is provided when it runs."""

    recipe: Recipe
    sources: Sources
    arguments: tuple[str, ...]
    mounts: tuple[BindMount, ...]
    limits: Limits = field(default_factory=Limits)

    def plan(self, image: str, engine: Mapping[str, Any]) -> RunPlan:
        """Return the container, as the caller's own user. engine: what the engine says of itself."""
        profile = self.recipe.spec.device.profile
        limits = replace(self.limits, gpus=self.limits.gpus or profile.gpus)
        return RunPlan(image, self.arguments, self.mounts, surroundings(engine), limits, devices=profile.nodes)


@dataclass(frozen=True)
class Performed:
    """What a job came to: the harness's own fields, the image that it ran in, and the seconds in the container."""

    fields: dict[str, Any]
    image: values.ImageUsed
    duration_s: float


def perform(client: Engine, job: HarnessJob, display: Display, log: Path | None = None) -> Performed:
    """Provide the job's image, run it, and return what it came to. Raises what goes wrong, each with its exit code.

    log: where the container's whole output stays; without it, it stays only where the job failed.
    """
    for name in remove_orphans(client):
        display.say(f"Removed container {name}: the tool that started it was killed.")
    image = provide(client, builder_of(client), job.recipe, job.sources, display)
    start = time.monotonic()
    path = log or paths.new_log(job.arguments[0], f"{job.recipe.spec.model.name}-{job.recipe.spec.variant}")
    fields = execute(client, job.plan(image.tag, client.info()), path, display)
    if log is None:
        path.unlink(missing_ok=True)
    return Performed(fields, image, round(time.monotonic() - start, 3))


def connect_for(spec: ImageSpec) -> Engine:
    """Connect, and refuse a device that is not there before saying anything about images."""
    client = connect()
    require_device(client, spec.device)
    return client


def cache_mount() -> BindMount:
    """Return the mount of what is preprocessed and made up, which all containers share."""
    folder = paths.harness_cache_dir()
    folders.require_writable(folder, "with XDG_CACHE_HOME", "cache")
    return BindMount(folder, "/cache", read_only=False)
