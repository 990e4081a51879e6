"""The installed command, in folders and under tags of its own, and what it leaves on an engine."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.engine.client import DockerEngine
from tests.fixtures.docker_client import api
from tests.tries import in_time

COMMAND = Path(sys.executable).with_name("mlperf-docker")
PATIENCE_S = 300
REGISTRY = f"mlperf-test-{uuid.uuid4().hex[:8]}"
PERFORMED = (0, 1)
"""Codes of a performance run: VALID or not, which is a matter of time."""


@dataclass(frozen=True)
class Tool:
    """The command, with a home and a registry name of its own. prefix: what runs it, as `unshare --net`."""

    environment: dict[str, str]
    home: Path
    prefix: tuple[str, ...] = ()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.prefix, str(COMMAND), *arguments],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __call__(
        self, *arguments: str, expect: int | tuple[int, ...] = 0, patience_s: int = PATIENCE_S, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that ends with *expect*, or with one of these."""
        done = subprocess.run(
            [*self.prefix, str(COMMAND), *arguments],
            env={**self.environment, **variables},
            text=True,
            capture_output=True,
            timeout=patience_s,
            check=False,
        )
        expected = expect if isinstance(expect, tuple) else (expect,)
        assert done.returncode in expected, f"{arguments} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, expect: int | tuple[int, ...] = 0) -> dict[str, Any]:
        """Run with --json and return the one object on stdout."""
        result = json.loads(self(*arguments, "--json", expect=expect).stdout)
        assert isinstance(result, dict)
        return result

    def timed(self, *arguments: str) -> dict[str, Any]:
        """Return the result of a performance run, VALID if one of three is."""
        return in_time(lambda: self.json(*arguments, expect=PERFORMED), lambda result: bool(result["valid"]))


def images_named(client: DockerEngine, registry: str) -> list[str]:
    """Return the tags below *registry*, sorted: the engine lists those of one image in any order."""
    tags = (tag for image in api(client).images() for tag in image["RepoTags"] or ())
    return sorted(tag for tag in tags if tag.startswith(f"{registry}/"))


def containers(client: DockerEngine) -> list[str]:
    """Return the containers of these tests' images: other runs may be at work on the same engine."""
    found = api(client).containers(all=True, filters={"label": "org.mlperf-docker=container"})
    return [each["Id"] for each in found if each["Image"].startswith(f"{REGISTRY}/")]


def wait_for(condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Return the first true value of *condition*."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain")


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[str, str]:
    """Signal the tool's whole group, as a terminal does, and return what it printed."""
    os.killpg(process.pid, number)
    return process.communicate(timeout=60)
