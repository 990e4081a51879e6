"""The same Dockerfile built twice from cold gives the same file tree, also where a package would make it differ."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine import filesystem
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.filesystem import FileSystem
from mlperf_docker.images.building.builder import BuildRequest
from mlperf_docker.images.building.buildkit import BuildKitBuilder
from mlperf_docker.images.known_bases import Base
from tests.fixtures import tiny_wheel
from tests.fixtures.engine import MARK, TEST_LABEL
from tests.images.building.test_building_layers import Wheels

pytestmark = pytest.mark.engine


def awkward(wheels: Wheels) -> None:
    """Make the backend's wheel one that Python imports at every start, as setuptools has it, and with a set in it."""
    name = f"{wheels.word}backend"
    code = "def is_word(text):\n    return text in {'one', 'two', 'three', 'four', 'five', 'six', 'seven'}\n"
    more = {f"{name}.pth": f"import {name}hook\n", f"{name}hook.py": code}
    wheels.backend = tiny_wheel.make(wheels.folder / "backend", name, "1.0+cpu", more=more)


def built(engine: DockerEngine, base: Base, spec: ImageSpec, wheels: Wheels, number: int) -> FileSystem:
    """Build without any cache, pip's included, and return all files."""
    inputs = wheels.inputs(spec)
    cold = replace(inputs, dockerfile=inputs.dockerfile.replace("id=mlperf-docker-pip", f"id={MARK}-{number}"))
    tag = f"{MARK}/twice:{number}"
    host = wheels.host(wheels.folder / "backend")
    request = BuildRequest(cold, base.reference, (tag,), {TEST_LABEL: MARK}, host, no_cache=True)
    BuildKitBuilder(engine).build(request, on_event=lambda _: None)
    return filesystem.read(engine, tag)


def test_two_builds_from_cold_give_the_same_files(
    clean: DockerEngine, base_image: Base, resnet50: ImageSpec, tmp_path: Path, logs: Path
) -> None:
    wheels = Wheels(tmp_path)
    awkward(wheels)
    one, other = (built(clean, base_image, resnet50, wheels, number) for number in range(2))
    bytecode = [path for path in one.entries if "hook" in path and path.endswith(".pyc")]
    assert len(bytecode) == 1, "the file that Python imports at every start is compiled"
    assert filesystem.changes(one, other) == {}
