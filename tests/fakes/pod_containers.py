"""Containers of a test's pods: the harness in a real engine, or a program in its place as a process."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlperf_docker.recipe.layout import LAYOUT
from tests.fakes.kubelet import Asked, Running


@dataclass
class Processes:
    """Runs Python on the module of the harness, which *program* stands for, as the image's entry point would.

    program: a folder with a package mlperf_docker.harness. started: what was asked for, in order. PLACES tells the
    program what is mounted where, one `place=folder` each.
    """

    program: Path
    images: set[str] | None = None
    """The images that there are; None for all."""
    started: list[Asked] = field(default_factory=list)

    def start(self, asked: Asked, log: Path) -> Running:
        image = asked.container["image"]
        if self.images is not None and image not in self.images:
            raise LookupError(f"{image}: not found")
        command = asked.command or LAYOUT.entry_point
        assert command[0] == LAYOUT.python
        places = os.pathsep.join(f"{each.place}={each.host}" for each in asked.mounts)
        environment = {**asked.environment, "PYTHONPATH": str(self.program), "PLACES": places, "PATH": os.defpath}
        self.started.append(asked)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", *command[1:], *asked.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return _Process(process)


@dataclass
class _Process:
    process: "subprocess.Popen[bytes]"

    def wait(self) -> tuple[int, bool]:
        code = self.process.wait()
        return (128 - code if code < 0 else code), False

    def kill(self) -> None:
        self.process.kill()


@dataclass
class EngineContainers:
    """Runs the pod's image in a Docker engine, confined as the pod says and by nothing else.

    client: docker-py's. label, mark: of all containers.
    """

    client: Any
    label: str
    mark: str
    inspected: list[dict[str, Any]] = field(default_factory=list)
    """What the engine said of each container."""

    def start(self, asked: Asked, log: Path) -> Running:
        import docker.errors

        try:
            container = self.client.create_container(**self._options(asked))
        except docker.errors.ImageNotFound as error:
            raise LookupError(str(error)) from error
        self.client.start(container)
        self.inspected.append(self.client.inspect_container(container))
        return _EngineContainer(self.client, container["Id"], log)

    def _options(self, asked: Asked) -> dict[str, Any]:
        pod, own = asked.spec["securityContext"], asked.container["securityContext"]
        memory = [each["name"] for each in asked.spec["volumes"] if each.get("emptyDir", {}).get("medium") == "Memory"]
        in_memory = {each["mountPath"]: "" for each in asked.container["volumeMounts"] if each["name"] in memory}
        assert pod["runAsNonRoot"] is (pod["runAsUser"] != 0)
        config = self.client.create_host_config(
            binds=[f"{each.host}:{each.place}:{'ro' if each.read_only else 'rw'}" for each in asked.mounts],
            cap_drop=own["capabilities"]["drop"],
            group_add=[str(each) for each in pod["supplementalGroups"]],
            network_mode="none",  # what the NetworkPolicy is for
            read_only=own["readOnlyRootFilesystem"],
            security_opt=[] if own["allowPrivilegeEscalation"] else ["no-new-privileges"],
            tmpfs=in_memory,
        )
        return {
            "image": asked.container["image"],
            "command": list(asked.arguments),
            "entrypoint": list(asked.command) if asked.command else None,
            "environment": dict(asked.environment),
            "user": f"{pod['runAsUser']}:{pod['runAsGroup']}",
            "host_config": config,
            "labels": {self.label: self.mark},
            "stdin_open": bool(asked.container.get("stdin")),
        }


@dataclass
class _EngineContainer:
    client: Any
    container: str
    log: Path

    def wait(self) -> tuple[int, bool]:
        with self.log.open("wb") as output:
            for piece in self.client.logs(self.container, stream=True, follow=True):
                output.write(piece)
                output.flush()
        code = self.client.wait(self.container)["StatusCode"]
        out_of_memory = self.client.inspect_container(self.container)["State"]["OOMKilled"]
        self.client.remove_container(self.container, force=True)
        return code, out_of_memory

    def kill(self) -> None:
        import contextlib

        import docker.errors

        with contextlib.suppress(docker.errors.APIError):
            self.client.kill(self.container)
