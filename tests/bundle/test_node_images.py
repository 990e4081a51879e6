"""Images that nodes take from a bundle: each node once, whatever runs at the same time; nothing of a damaged bundle.

A node is a daemon, a home, a cache and a name of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.bundle import node_images
from mlperf_docker.bundle.manifest import read
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import BundleError, UsageError
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import PullPolicy
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.system import node_cache
from tests.bundle.hosts import REGISTRY, Host, Written, clear, tags
from tests.fakes.engine import FakeBuilder, FakeDisplay, FakeEngine
from tests.fixtures.second_engine import second_engine

pytestmark = pytest.mark.engine

PROVIDE = """
import sys
from mlperf_docker.cli import entry
import mlperf_docker.runs.session as session
from mlperf_docker.engine.client import connect
from mlperf_docker.bundle.node_images import provide
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.display import streams

def only_the_image(request, display):
    client = connect()
    streams.out(provide(client, builder_of(client), recipe_of(request.spec), request.sources, display).id)
    raise SystemExit(0)

session.run = only_the_image
entry.main()
"""
"""`mlperf-docker` whose `run` ends when it has its image: those of these tests have no harness."""
COMMAND = (sys.executable, "-c", PROVIDE, "run", "resnet50", "--bundle")
POINTS = int(os.environ.get("MLPERF_TEST_POINTS", "3"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine) -> Iterator[Host]:
    """Another node that has nothing yet."""
    with second_engine(disk="600m") as running:
        yield Host(running.socket, tmp_path_factory.mktemp("second"), "second")


@pytest.fixture
def nodes(empty: Host, second: Host) -> tuple[Host, Host]:
    """Two nodes with nothing on them."""
    clear(second)
    return empty, second


class Loads:
    """Archives that a node's engine has loaded since this began."""

    def __init__(self, node: Host) -> None:
        self._client, self._since = node.client(), f"{time.time():.9f}"

    def count(self) -> int:
        """Number of images loaded, as the engine tells of its own events."""
        until: Any = f"{time.time():.9f}"  # docker-py's hints know of no parts of a second
        since: Any = self._since
        found = self._client.events(since, until, decode=True, filters={"type": "image", "event": "load"})
        return len(list(found))


def started(node: Host, bundle: Path) -> subprocess.Popen[str]:
    return node.start(bundle, command=COMMAND)


def ended(running: subprocess.Popen[str], expect: int = 0) -> str:
    """What a process said, and the id of its image at the end."""
    out, err = running.communicate(timeout=120)
    assert running.returncode == expect, f"{out}\n{err}"
    assert "Traceback" not in err
    return f"{err}\n{out}".strip()


def waiting(running: subprocess.Popen[str]) -> str:
    """Return what a process said until it waits for another one."""
    said = ""
    assert running.stderr is not None
    timer = threading.Timer(120, running.kill)
    timer.start()
    try:
        while "waiting" not in said:
            line = running.stderr.readline()
            assert line, f"it ended without waiting:\n{said}"
            said += line
    finally:
        timer.cancel()
    return said


def test_two_nodes_that_load_one_bundle_at_once_load_it_once_each(nodes: tuple[Host, Host], written: Written) -> None:
    loads = [Loads(node) for node in nodes]
    running = [started(node, written.folder) for node in nodes for _ in range(2)]
    said = [ended(each) for each in running]
    for node, load, (first, other) in zip(nodes, loads, (said[:2], said[2:]), strict=True):
        assert (first + other).count(f"loaded from {written.folder}") == 1, said
        assert load.count() == 1
        assert tags(node) == list(written.tags)
        assert first.splitlines()[-1] == other.splitlines()[-1] == node.client().inspect_image(written.tags[0])["Id"]  # type: ignore[no-untyped-call]
    assert nodes[0].client().inspect_image(written.tags[0])["Id"] == read(written.folder).cells[0].id  # type: ignore[no-untyped-call]


def test_a_second_job_of_a_node_waits_says_so_and_finds_the_image(
    empty: Host, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLPERF_DOCKER_NODE_CACHE", "SLURMD_NODENAME"):
        monkeypatch.setenv(name, empty.environment[name])
    with node_cache.turn(lambda: None, lambda _: None):
        running = [started(empty, written.folder) for _ in range(2)]
        for each in running:
            assert "another process of this node is at work on images; waiting." in waiting(each)
        assert tags(empty) == []
    said = sorted(ended(each) for each in running)
    assert [sum(word in each for each in said) for word in ("loaded from", "brought by the other process")] == [1, 1]


def test_an_image_that_is_here_is_not_loaded_again(empty: Host, written: Written) -> None:
    ended(started(empty, written.folder))
    loads = Loads(empty)
    assert f"Image {written.tags[0]}: present." in ended(started(empty, written.folder))
    assert loads.count() == 0


def test_a_job_killed_while_it_loads_leaves_the_turn_to_the_next(empty: Host, written: Written) -> None:
    begun = time.monotonic()
    ended(started(empty, written.folder))
    took_s = time.monotonic() - begun
    for point in range(POINTS):
        clear(empty)
        running = started(empty, written.folder)
        time.sleep(took_s * (point + 1) / (POINTS + 1))
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
        assert tags(empty) in ([], list(written.tags))
        ended(started(empty, written.folder))
        assert tags(empty) == list(written.tags)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_nothing_is_loaded_of_a_damaged_image(copy: Path, empty: Host, at: float) -> None:
    with (copy / "images.tar").open("r+b") as file:
        file.seek(int((copy / "images.tar").stat().st_size * at))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    said = ended(started(empty, copy), ExitCode.REGISTRY)
    assert "is damaged: layer" in said
    assert "Copy it again" in said
    assert tags(empty) == []


def test_a_bundle_that_was_cut_off_is_refused(copy: Path, empty: Host) -> None:
    os.truncate(copy / "images.tar", (copy / "images.tar").stat().st_size // 2)
    assert "is no whole archive of images" in ended(started(empty, copy), ExitCode.REGISTRY)
    shutil.rmtree(copy)
    assert "There is no bundle in" in ended(started(empty, copy), ExitCode.REGISTRY)
    assert tags(empty) == []


def test_a_cell_that_the_bundle_lacks_is_never_built(written: Written, cells: tuple[ImageSpec, ImageSpec]) -> None:
    builder = FakeBuilder(FakeEngine())
    sources = Sources(REGISTRY, bundle=written.folder)
    with pytest.raises(BundleError, match="bert:onnxruntime-cpu is not in it") as caught:
        node_images.provide(FakeEngine(), builder, recipe_of(cells[1]), sources, FakeDisplay())
    assert "mlperf-docker bundle bert" in str(caught.value.hint)
    assert builder.requests == []


@pytest.mark.parametrize(
    ("sources", "option"),
    [
        (Sources(REGISTRY, bundle=Path("/b"), pull=PullPolicy.ALWAYS), "--pull always"),
        (Sources(REGISTRY, bundle=Path("/b"), base="debian:12"), "--base"),
    ],
)
def test_another_source_beside_a_bundle_is_refused(resnet50: ImageSpec, sources: Sources, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} and a bundle exclude each other"):
        node_images.provide(FakeEngine(), FakeBuilder(FakeEngine()), recipe_of(resnet50), sources, FakeDisplay())
