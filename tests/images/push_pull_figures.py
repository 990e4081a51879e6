"""Figures of real images on a real registry, printed and not asserted; minutes long, so no part of the suite.

python -m pytest -s tests/images/push_pull_figures.py
"""

import itertools
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.images import push_pull
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.render import recipe_of
from tests.cells.tool import COMMAND
from tests.fakes.engine import FakeDisplay
from tests.fixtures import cells
from tests.fixtures.docker_client import api
from tests.fixtures.registries import Registries
from tests.fixtures.second_engine import SecondEngine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
MODELS = tuple(model.name for model in Catalog.load().models)
ROUNDS = 7


@pytest.fixture(scope="module")
def environment(
    engine: DockerEngine, base_image: Base, registries: Registries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """This machine's. The tags that are pushed from here are removed at the end."""
    name = f"{registries.open.host}/figures"
    yield {**os.environ, "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")), "MLPERF_DOCKER_REGISTRY": name}
    for image in api(engine).images(filters={"reference": f"{name}/*"}):
        for tag in image["RepoTags"]:
            if tag.startswith(name):
                engine.remove_image(tag)


def run(environment: dict[str, str], *arguments: str) -> tuple[float, str]:
    """Return the command's seconds and its stdout."""
    start = time.monotonic()
    done = subprocess.run([str(COMMAND), *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start, done.stdout


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # what it is for


def tell_pairs(engine: DockerEngine, name: str, backend: str) -> None:
    """Print, for each two images of *backend*, what the second would move after the first, by their layers."""
    asked = engine.registries(say)
    found = {model: asked.describe(f"{name}/{model}:{backend}-cpu") for model in MODELS}
    layers = {model: remote.layers for model, remote in found.items() if remote is not None}
    for (first, here), (then, wanted) in itertools.permutations(layers.items(), 2):
        moved = sum(size for digest, size in wanted.items() if digest not in here)
        say(f"  {backend}: {then} after {first}: {moved / sum(here.values()):.4f}")


def test_layers_shared(
    engine: DockerEngine,
    registries: Registries,
    environment: dict[str, str],
    other_machine: SecondEngine,
    tmp_path: Path,
) -> None:
    there = {**environment, "DOCKER_HOST": other_machine.socket}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", other_machine.socket)
        second = connect()
    for backend in dict.fromkeys(spec.backend for spec in Catalog.load().specs):
        first = 0
        for image in api(second).images():  # so that the first one brings all that it stands on
            api(second).remove_image(image["Id"], force=True)
        for model in MODELS:
            run(environment, "build", model, "-b", backend, "--bootstrap-base", "--push")
            before = len(registries.open.served(engine, path="/blobs/sha256:"))
            seconds, out = run(there, "pull", model, "-b", backend, "--json")
            log = registries.open.served(engine, path="/blobs/sha256:")[before:]
            size = sum(int(each.get("http.response.written") or 0) for each in log)
            (told,) = json.loads(out)
            first = first or size
            say(
                f"{model}:{backend}-cpu: {size} bytes by the registry's log, {told['bytes']} by --json,"
                f" {seconds:.1f} s; ÷ the first of its backend: {size / first:.4f}"
            )
        tell_pairs(second, environment["MLPERF_DOCKER_REGISTRY"], backend)


def test_present(
    here: DockerEngine, there: DockerEngine, other_machine: SecondEngine, catalog: Catalog, name: str
) -> None:
    """What is there already is only asked for; so small images do, as many as there are cells."""
    specs = list(catalog.specs)
    for spec in specs:
        cells.make(here, spec, name, str(spec).encode())
    push_pull.require_all(
        push_pull.push_each(here, list(map(recipe_of, specs)), Sources(name), name, FakeDisplay(), jobs=3), "pushed"
    )
    environment = {**os.environ, "DOCKER_HOST": other_machine.socket, "MLPERF_DOCKER_REGISTRY": name}
    run(environment, "pull", "--all")
    for arguments in (("bert",), ("--all", "-b", "onnxruntime"), ("--all",)):
        told = json.loads(run(environment, "pull", *arguments, "--json")[1])
        assert {each["state"] for each in told} == {"present"}
        times = [run(environment, "pull", *arguments)[0] / len(told) for _ in range(ROUNDS)]
        say(
            f"pull {' '.join(arguments)}, all present: {statistics.median(times):.3f} s a cell"
            f" ({min(times):.3f} to {max(times):.3f}; {len(told)} cells, load {os.getloadavg()[0]:.1f})"
        )
