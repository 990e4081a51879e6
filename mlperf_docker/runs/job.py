"""Harness job in a container: image provided, container run, reply read."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract import places
from mlperf_docker.contract.commands import Command
from mlperf_docker.contract.json_values import MalformedError
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.errors import ContainerError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import DEBUG_VARIABLE
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results import values
from mlperf_docker.runs.runner import Watch, execute
from mlperf_docker.runtimes import runtime as runtimes
from mlperf_docker.runtimes.choice import runtime_of
from mlperf_docker.runtimes.runtime import Runtime
from mlperf_docker.system import folders, paths

R = TypeVar("R")


@dataclass(frozen=True)
class HarnessJob(Generic[R]):
    """A command of the harness in a container of a cell: everything but the image, which is provided when it runs."""

    recipe: Recipe
    sources: Sources
    command: Command[R]
    mounts: tuple[BindMount, ...]
    limits: Limits = field(default_factory=Limits)

    def plan(self, image: str, user: ContainerUser) -> RunPlan:
        """Return the container. image: what the runtime calls it."""
        environment = ((places.DEBUG_VARIABLE, "1"),) if os.environ.get(DEBUG_VARIABLE) else ()
        profile = self.recipe.spec.device.profile
        return RunPlan(
            image=image,
            arguments=self.command.argv(),
            mounts=self.mounts,
            surroundings=user,
            limits=replace(self.limits, gpus=self.limits.gpus or profile.gpus or None),
            devices=profile.nodes,
            environment=environment,
        )


@dataclass(frozen=True)
class Performed(Generic[R]):
    """Outcome of a job: the harness's reply, the image that it ran in, the seconds in the container, the runtime."""

    reply: R
    image: values.ImageUsed
    duration_s: float
    runtime: values.RuntimeUsed | None = None
    """None where the container was not run by this tool."""


def perform(
    runtime: Runtime, job: HarnessJob[R], display: Display, log: Path | None = None, watch: Watch | None = None
) -> Performed[R]:
    """Provide the job's image, run it, and return what it came to. Raises what goes wrong, each with its exit code.

    log: where the container's whole output stays; without it, it stays only where the job failed. watch: told of every
    event of the harness.
    """
    runtime.tidy(display.say)
    image = runtime.provide(job.recipe, job.sources, display)
    start = time.monotonic()
    path = log or paths.new_log(job.command.name, f"{job.recipe.spec.model.name}-{job.recipe.spec.variant}")
    used, plan = runtimes.used(runtime), job.plan(image.reference, runtime.user())
    reply = read_reply(job.command, execute(runtime, plan, path, display, watch), path)
    if log is None:
        path.unlink(missing_ok=True)
    return Performed(reply, image.used, round(time.monotonic() - start, 3), used)


def read_reply(command: Command[R], fields: Mapping[str, Any], log: Path) -> R:
    """Return the reply to *command* that *fields* are. Raises ContainerError where they are another harness's."""
    try:
        return command.read(fields)
    except MalformedError as error:
        raise ContainerError(f"The harness's reply to {command.name} cannot be read: {error}.", log=log) from error


def runtime_for(spec: ImageSpec, sources: Sources, limits: Limits | None = None) -> Runtime:
    """Return the runtime, and refuse a device or a limit that cannot be had before saying anything about images."""
    runtime = runtime_of(sources.runtime)
    runtime.require(spec.device, limits or Limits())
    return runtime


def cache_mount() -> BindMount:
    """Return the mount of what is preprocessed and made up, which all containers share."""
    folder = paths.harness_cache_dir()
    folders.require_writable(folder, "with XDG_CACHE_HOME", "cache")
    return BindMount(folder, places.CACHE, read_only=False)
