"""Layers of an image: built from their own wheels alone; a maker's index is asked only where it is needed."""

import uuid
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.errors import BuildError
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.builders import builder_of
from mlperf_docker.images.known_bases import Base
from mlperf_docker.recipe import render
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, Layer, OwnIndex
from mlperf_docker.recipe.host_settings import HostSettings
from mlperf_docker.recipe.requirements import model_layers, parse
from tests.fixtures import tiny_wheel
from tests.fixtures.engine import MARK, TEST_LABEL

pytestmark = pytest.mark.engine
LAYERS = ("common", "backend", "model")
HARNESS = (
    ContextFile("harness/mlperf_docker/__init__.py", b""),
    ContextFile("harness/mlperf_docker/harness/__init__.py", b""),
    ContextFile("harness/mlperf_docker/harness/__main__.py", b"print('harness')\n"),
    ContextFile("harness/mlperf_docker/harness/sbom.py", b"print('{}')\n"),
)


class Wheels:
    """Three wheels that no other session has, one for each layer; the backend's has a local version."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.word = folder, f"w{uuid.uuid4().hex[:8]}"
        self.common = tiny_wheel.make(folder / "house", f"{self.word}common", "1.0")
        self.backend = tiny_wheel.make(folder / "backend", f"{self.word}backend", "1.0+cpu")
        self.model = tiny_wheel.make(folder / "house", f"{self.word}model", "1.0")

    def inputs(self, spec: ImageSpec, index: str = "") -> BuildInputs:
        """The real Dockerfile of *spec*, around these wheels and a harness that does nothing."""
        names = ("common", "backend", *model_layers(spec))
        wheels = (self.common, self.backend, self.model)
        pins = (tuple(parse(tiny_wheel.pin(wheel)).values()) for wheel in wheels)
        common, backend, model = (Layer(name, found) for name, found in zip(names, pins, strict=True))
        own = replace(backend, index=OwnIndex(index, spec.base.python) if index else None)
        return BuildInputs(render.render(spec), (*render.tools(), *HARNESS), (common, own, model))

    def host(self, *more: Path, index: str = "") -> HostSettings:
        """A host that has its folders and *index*, and nothing else."""
        folders = {"PIP_FIND_LINKS": " ".join(map(str, (self.folder / "house", *more)))}
        return HostSettings.from_environ({**folders, **({"PIP_INDEX_URL": index} if index else {"PIP_NO_INDEX": "1"})})


@pytest.fixture
def wheels(tmp_path: Path) -> Wheels:
    return Wheels(tmp_path)


def steps(engine: DockerEngine, base: Base, inputs: BuildInputs, host: HostSettings) -> dict[str, str]:
    """Build, and return how each layer's installation came about: `cached` or `done`."""
    events: list[BuildEvent] = []
    request = BuildRequest(inputs, base.reference, (f"{MARK}/layers:1",), {TEST_LABEL: MARK}, host)
    builder_of(engine).build(request, on_event=events.append)
    ended = [event for event in events if event.kind in (BuildEventKind.CACHED, BuildEventKind.DONE)]
    names = dict(zip(LAYERS, (layer.name for layer in inputs.layers), strict=True))
    return {
        layer: event.kind.value for layer in LAYERS for event in ended if event.step.endswith(f" layer {names[layer]}")
    }


def test_a_wheel_for_one_layer_leaves_the_others_cached(
    clean: DockerEngine, base_image: Base, resnet50: ImageSpec, wheels: Wheels, logs: Path
) -> None:
    inputs, host = wheels.inputs(resnet50), wheels.host(wheels.folder / "backend")
    assert steps(clean, base_image, inputs, host) == dict.fromkeys(LAYERS, "done")
    wheels.model = tiny_wheel.make(wheels.folder / "house", f"{wheels.word}other", "2.0")
    assert steps(clean, base_image, wheels.inputs(resnet50), host) == {
        "common": "cached",
        "backend": "cached",
        "model": "done",
    }


def test_a_local_version_comes_from_the_makers_index_where_no_folder_has_it(
    clean: DockerEngine, base_image: Base, resnet50: ImageSpec, wheels: Wheels, logs: Path
) -> None:
    own = tiny_wheel.offer(wheels.folder / "own", wheels.backend)
    with tiny_wheel.served(wheels.folder) as (url, asked):
        inputs = wheels.inputs(resnet50, index=f"{url}/own")
        assert steps(clean, base_image, inputs, wheels.host(index=f"{url}/public"))["backend"] == "done"
        assert f"/own/{own.parent.name}/{quote(own.name)}" in asked
        assert {path.split("/")[2] for path in asked if path.startswith("/own/")} == {own.parent.name}


def test_the_makers_index_is_not_even_asked_where_a_folder_has_it(
    clean: DockerEngine, base_image: Base, resnet50: ImageSpec, wheels: Wheels, logs: Path
) -> None:
    with tiny_wheel.served(wheels.folder) as (url, asked):
        host = wheels.host(wheels.folder / "backend", index=f"{url}/public")
        assert steps(clean, base_image, wheels.inputs(resnet50, index=f"{url}/own"), host)["backend"] == "done"
        assert asked, "the index that every package may be in is asked as always"
        assert not [path for path in asked if path.startswith("/own/")]


def test_a_wheel_with_other_bytes_than_the_locked_one_ends_the_build(
    clean: DockerEngine, base_image: Base, resnet50: ImageSpec, wheels: Wheels, logs: Path
) -> None:
    inputs = wheels.inputs(resnet50)
    tiny_wheel.make(wheels.folder / "backend", f"{wheels.word}backend", "1.0+cpu", needs="surprise")
    with pytest.raises(BuildError, match="not the one that was locked"):
        steps(clean, base_image, inputs, wheels.host(wheels.folder / "backend"))


def test_the_source_of_wheels_does_not_change_the_tag(resnet50: ImageSpec, wheels: Wheels) -> None:
    inputs = wheels.inputs(resnet50)
    indexed = wheels.inputs(resnet50, index="https://maker.test/whl")
    assert indexed != inputs
    assert indexed.digest == inputs.digest
