"""Hosts of bundles: the command with a daemon, a home and a node's cache of its own."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from docker import APIClient

RANDOM = random.Random(7)  # noqa: S311  # for bytes and moments, not for secrets
COMMAND = Path(sys.executable).with_name("mlperf-docker")
SHARED = RANDOM.randbytes(60_000_000)
REGISTRY = "mlperf-test"
WEIGHTS = RANDOM.randbytes(20_000_000)


@dataclass(frozen=True)
class Host:
    """The command on a host: a daemon and a home of its own. node: the name of the host in a cluster."""

    socket: str
    home: Path
    node: str = "node"

    @property
    def environment(self) -> dict[str, str]:
        folders = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}
        return {
            **os.environ,
            **folders,
            "DOCKER_HOST": self.socket,
            "MLPERF_DOCKER_NODE_CACHE": str(self.home / "local"),
            "SLURMD_NODENAME": self.node,
            "MLPERF_DOCKER_REGISTRY": REGISTRY,
        }

    @property
    def models(self) -> Path:
        return self.home / "cache/mlperf-docker/models/resnet50"

    def client(self) -> APIClient:
        return APIClient(base_url=self.socket, version="auto")

    def start(self, *arguments: str | Path, command: Sequence[str] = (str(COMMAND),)) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, *map(str, arguments)], env=self.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        running = self.start(*arguments)
        out, err = running.communicate(timeout=120)
        assert running.returncode == expect, f"{arguments} → {running.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return subprocess.CompletedProcess(arguments, running.returncode, out, err)


@dataclass(frozen=True)
class Written:
    """A bundle, and the images in it."""

    folder: Path
    tags: tuple[str, ...]


def clear(host: Host) -> None:
    for tag in tags(host):
        host.client().remove_image(tag, force=True)
    shutil.rmtree(host.home, ignore_errors=True)


def tags(host: Host) -> list[str]:
    return sorted(tag for image in host.client().images() for tag in image["RepoTags"] or ())
