"""A job of the host's, done by the harness as a process of this machine in place of a container.

Everything else is as it is: the host's command line for it, the harness's events and exit code, what the host makes of
them. Paths in the container become those of the mounts on the way in, and the other way round on the way out.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlperf_docker.display.progress import Display
from mlperf_docker.engine.plan import ContainerUser, RunPlan
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.runs import runner
from mlperf_docker.runs.job import HarnessJob, Performed, R, read_reply
from mlperf_docker.runs.runner import Watch
from mlperf_docker.runtimes.docker import DockerRuntime
from tests.fakes.container_engine import ContainerEngine, died
from tests.harness.process import PATIENCE_S, command, environment

DEFAULTS = {
    "run": ("data", "cache", "results"),
    "verify": ("data",),
    "preprocess": ("data", "cache"),
    "outputs": ("cache",),
}
"""Folders that the host does not name, as the harness looks for them where the host mounts them."""

IMAGE = ImageUsed(tag="tag", id="sha256:0", base="base")


def perform(
    _client: object, job: HarnessJob[R], display: Display, log: Path | None = None, watch: Watch | None = None
) -> Performed[R]:
    """Do *job*, as `session.perform` does. Raises what that raises where the harness says what is wrong."""
    plan = RunPlan(IMAGE.tag, job.command.argv(), job.mounts, ContainerUser("1:1"))
    path = log or next(mount.host for mount in job.mounts if not mount.read_only) / "harness.log"
    done = subprocess.run(
        _line(job), capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), check=False
    )
    outside = {str(mount.host): mount.container for mount in job.mounts}
    lines = tuple(_renamed(text, outside) for text in done.stdout.splitlines())
    engine = ContainerEngine(lines=lines, errors=done.stderr, ending=died(done.returncode))
    fields = runner.execute(DockerRuntime(engine), plan, path, display, watch)
    return Performed(read_reply(job.command, fields, path), IMAGE, 1.0)


def _line(job: HarnessJob[Any]) -> list[str]:
    """The harness's command line, with what cell.json and mount points say in a container."""
    spec, inside = job.recipe.spec, {mount.container: str(mount.host) for mount in job.mounts}
    cell = (f"--model={spec.model.name}", f"--backend={spec.backend}", f"--device={spec.device}")
    folders = (f"--{name}=/{name}" for name in DEFAULTS.get(job.command.name, ()))
    verb, *arguments = (*job.command.argv(), *folders)
    return command(verb, *cell, *(_renamed(text, inside) for text in arguments))


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """*text* with each path in *names* by its other name."""
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w./-])({known})(?![\w-])", lambda found: names[found[1]], text)
