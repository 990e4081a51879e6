"""Images with the reference's layer: verified, carried to a host without a network, and with packages of their own."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Mode, SyntheticSize
from mlperf_docker.engine import filesystem
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.plan import Limits
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe import reference_layer
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.requirements import parse
from mlperf_docker.reference.checkout import open_checkout
from mlperf_docker.results import store
from mlperf_docker.runs import session
from mlperf_docker.runs.request import RunRequest
from mlperf_docker.system.paths import assets
from tests.cells.tool import REGISTRY, Tool
from tests.fakes.engine import FakeDisplay
from tests.fixtures import reference_checkout
from tests.fixtures.second_engine import second_engine
from tests.recipe.test_reference_layer import with_changed

pytestmark = pytest.mark.engine
CELL = ("resnet50", "--backend", "onnxruntime")
REFERENCE = ("--harness", "reference")
OLDER = (
    "numpy==2.3.5 \\\n    --hash=sha256:8cba086a43d54ca804ce711b2a940b16e452807acebe7852ff327f1ecd49b0d4\n"
    "    # via -r requirements.in\n"
)
"""A version of numpy that no image of a cell has, for the Python of the base."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return reference_checkout.made(tmp_path / "inference")


@pytest.fixture
def built(tool: Tool) -> str:
    """The exact tag of the image."""
    return tool("build", *CELL, *REFERENCE, "--bootstrap-base").stdout.strip()


@pytest.fixture
def island(tool: Tool, tmp_path: Path, engine: DockerEngine) -> Iterator[Tool]:
    """The command on a daemon without a network, with nothing in its home."""
    with second_engine(disk="2g") as daemon:
        folders = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "STATE", "DATA")}
        own = {"DOCKER_HOST": daemon.socket, "MLPERF_DOCKER_NODE_CACHE": str(tmp_path / "local")}
        yield Tool({**tool.environment, **folders, **own}, tmp_path, ("unshare", "--net"))


def test_an_image_with_a_reference_is_as_it_should_be(tool: Tool, built: str, client: DockerEngine) -> None:
    (verdict,) = json.loads(tool("verify", *CELL, *REFERENCE, "--json").stdout)
    assert (verdict["cell"], verdict["differences"]) == ("resnet50:onnxruntime-cpu-reference", [])
    bill = json.loads(filesystem.read_file(client, built, LAYOUT.sbom) or b"")
    assert bill["metadata"]["component"]["name"] == "resnet50:onnxruntime-cpu-reference"
    assert {"pycocotools", "onnxruntime"} <= {each["name"] for each in bill["components"]}
    doomed = json.loads(tool("prune", "--dry-run", "--json").stdout)["removed"]
    assert built in {each["name"] for each in doomed}, "it is ours"


def test_a_reference_runs_out_of_a_bundle(tool: Tool, built: str, island: Tool, checkout: Path, tmp_path: Path) -> None:
    tool("bundle", *CELL, *REFERENCE, "--models", "none", "--to", str(tmp_path / "bundle"))
    files = {each["path"] for each in json.loads((tmp_path / "bundle/manifest.json").read_text())["files"]}
    assert files == {"images.tar", "locks/onnxruntime-cpu.txt", "locks/reference/resnet50-onnxruntime-cpu.txt"}
    run = ("run", *CELL, "--synthetic", "tiny", "--mode", "accuracy", *REFERENCE, "--reference", str(checkout))
    found = island.json(*run, "--bundle", str(tmp_path / "bundle"))
    assert (found["valid"], found["accuracy"]["value"], found["image"]["tag"]) == (True, 87.5, built)
    assert island("bundle", "load", str(tmp_path / "bundle")).stdout.strip() == built
    assert island.json(*run)["image"]["tag"] == built


def test_packages_of_a_references_own_are_in_an_environment_of_their_own(
    client: DockerEngine,
    tool: Tool,
    resnet50: ImageSpec,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference gets an older numpy, the harness keeps its own."""
    cells = parse((assets() / "locks" / resnet50.lock).read_text())
    lock = "".join(f"{replace(pin, parents=frozenset())}\n" for name, pin in cells.items() if name != "numpy") + OLDER
    monkeypatch.setattr(reference_layer, "_read_lock", lambda _: lock)
    spec, display = with_changed(resnet50, own_venv=True), FakeDisplay()
    assert spec.model.reference
    for name, folder in tool.environment.items():
        if name.startswith("XDG_"):
            monkeypatch.setenv(name, folder)
    request = RunRequest(
        spec=spec,
        options=RunOptions(mode=Mode.ACCURACY, synthetic=SyntheticSize.TINY),
        limits=Limits(),
        sources=Sources(REGISTRY, bootstrap=True),
        results_root=tmp_path,
        checkout=open_checkout(checkout, spec.model.reference, spec.backend, display.say),
    )
    done = session.run(request, display)
    assert (done.valid, done.accuracy and done.accuracy.value) == (True, 87.5)
    assert done.image
    log = Path(done.results_dir, store.LOG_FILE).read_text()
    assert "python /opt/reference, numpy 2.3.5" in log
    assert done.versions["numpy"] != "2.3.5"
    bill = json.loads(filesystem.read_file(client, done.image.tag, LAYOUT.sbom) or b"")
    (apart,) = (each for each in bill["components"] if each["name"] == "reference-venv")
    assert "2.3.5" in {each["version"] for each in apart["components"] if each["name"] == "numpy"}
