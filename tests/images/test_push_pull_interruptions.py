"""Push and pull, killed or interrupted at random moments: nothing is left behind, and the same command then succeeds.

MLPERF_TEST_INTERRUPTIONS says how many moments of each are tried; the figure is of 50.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.images.candidate import Candidate
from mlperf_docker.registry.references import parted
from tests.cells.tool import COMMAND, wait_for
from tests.fixtures import cells
from tests.fixtures.docker_client import api
from tests.fixtures.registry import remove_all
from tests.fixtures.second_engine import SecondEngine
from tests.images.test_push_pull_transfers import MANIFEST, manifest, moved, push

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
COUNT = int(os.environ.get("MLPERF_TEST_INTERRUPTIONS", "3"))
LAYERS, LAYER_BYTES = 4, 6 << 20
PATIENCE_S = 120
INTERRUPTED = 130


class Command:
    """Command line with a temporary folder of its own, so that what it leaves there can be seen."""

    def __init__(self, folder: Path, *arguments: str, engine: str = "") -> None:
        self.temporary = folder
        variables = {"DOCKER_HOST": engine} if engine else {}
        self._environment = {**os.environ, "TMPDIR": str(folder), **variables}
        self._argv = [str(COMMAND), *arguments]

    def __call__(self) -> str:
        """Run it to its end, and return the digest that it prints."""
        done = subprocess.run(
            self._argv, env=self._environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().rpartition("@")[2]

    def interrupted(self, after_s: float, number: signal.Signals) -> None:
        """Run it for *after_s*, then send *number* to it."""
        with subprocess.Popen(
            self._argv, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        ) as running:
            time.sleep(after_s)
            os.killpg(running.pid, number)
            _, said = running.communicate(timeout=PATIENCE_S)
        if number is signal.SIGINT and b"Interrupted." in said:
            assert running.returncode == INTERRUPTED
            assert b"Traceback" not in said


def test_a_pull_that_was_interrupted_is_repeated_and_leaves_nothing(
    here: DockerEngine, there: DockerEngine, other_machine: SecondEngine, resnet50: ImageSpec, name: str, tmp_path: Path
) -> None:
    wanted = cells.make(here, resnet50, name, *(os.urandom(LAYER_BYTES) for _ in range(LAYERS)))
    digest = moved(push(here, name, resnet50)).digest
    command = Command(empty(tmp_path), "pull", "resnet50", "--registry", name, engine=other_machine.socket)
    for moment in moments(timed(command)):
        remove_all(there)
        command.interrupted(*moment)
        assert_clean(there, wanted, other_machine.data)
        assert list(command.temporary.iterdir()) == []
        assert command() == digest, moment
        found = images.find(there, wanted.exact)
        assert found is not None
        assert set(found.tags) == {wanted.exact, wanted.moving}
        assert len(list(described(there, wanted))) == 1, "and nothing beside it"


def test_a_push_that_was_interrupted_is_repeated_and_leaves_nothing(
    here: DockerEngine, resnet50: ImageSpec, name: str, tmp_path: Path
) -> None:
    folder = empty(tmp_path)

    def fresh(path: str) -> tuple[Candidate, Command]:
        """Return an image whose layers the registry has never seen, and the command that pushes it."""
        wanted = cells.make(here, resnet50, path, *(os.urandom(LAYER_BYTES) for _ in range(LAYERS)))
        return wanted, Command(folder, "push", "resnet50", "--registry", path)

    duration = timed(fresh(f"{name}/whole")[1])
    for number, moment in enumerate(moments(duration)):
        path = f"{name}/{number}"
        wanted, command = fresh(path)
        command.interrupted(*moment)
        for tag in published(f"{path}/resnet50"):
            assert tag in (wanted.exact.rpartition(":")[2], wanted.moving.rpartition(":")[2])
            assert_complete(f"{path}/resnet50", tag)
        assert list(folder.iterdir()) == []
        digest = command()
        for reference in (wanted.exact, wanted.moving):
            answer = manifest(f"{path}/resnet50", reference.rpartition(":")[2])
            assert answer.headers["Docker-Content-Digest"] == digest, moment
        remove_all(here)


def empty(folder: Path) -> Path:
    (folder / "tmp").mkdir()
    return folder / "tmp"


def timed(command: Callable[[], str]) -> float:
    start = time.monotonic()
    command()
    return time.monotonic() - start


def moments(duration_s: float) -> list[tuple[float, signal.Signals]]:
    """Return random moments within *duration_s*, and how to interrupt: as Ctrl-C does, and as the kernel does."""
    ways = (signal.SIGINT, signal.SIGKILL)
    return [(random.uniform(0.0, duration_s), ways[n % 2]) for n in range(COUNT)]  # noqa: S311  # no secret


def assert_clean(engine: DockerEngine, wanted: Candidate, data: Path) -> None:
    """Assert that the engine has the image under all its names or nothing of it, and keeps no half of a download."""
    wait_for(lambda: not list((data / "tmp").glob("GetImageBlob*")))
    assert api(engine).containers(all=True) == []
    for image in described(engine, wanted):  # it ended before it was interrupted, or between pulling and naming
        assert image["RepoDigests"]
        assert set(image["RepoTags"] or ()) <= {wanted.exact, wanted.moving, "<none>:<none>"}


def described(engine: DockerEngine, wanted: Candidate) -> Iterator[dict[str, Any]]:
    """All images but those of other repositories: a pull that another test broke off may end after that test."""
    for image in api(engine).images(all=True):
        names = {parted(tag)[0] for tag in image["RepoTags"] or ()} - {"<none>"}
        if not names or wanted.repository in names:
            yield image


def published(name: str) -> list[str]:
    host, _, path = name.partition("/")
    return list(requests.get(f"http://{host}/v2/{path}/tags/list", timeout=10).json().get("tags") or ())


def assert_complete(name: str, tag: str) -> None:
    """Assert that the registry has all that the manifest under *tag* names."""
    host, _, path = name.partition("/")
    found = manifest(name, tag)
    assert found.headers["Content-Type"] == MANIFEST
    for blob in (found.json()["config"], *found.json()["layers"]):
        assert requests.head(f"http://{host}/v2/{path}/blobs/{blob['digest']}", timeout=10).ok
