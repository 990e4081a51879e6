"""A host that bundles are written on, a bundle, and a host that has nothing yet."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.engine.client import DockerEngine
from tests.bundle.hosts import REGISTRY, SHARED, WEIGHTS, Host, Written, clear
from tests.fixtures import cell_image
from tests.fixtures.second_engine import SecondEngine, second_engine


@pytest.fixture(scope="module")
def daemon(engine: DockerEngine) -> Iterator[SecondEngine]:
    """A daemon that has nothing but what these tests make. *engine* only says that daemons can run here."""
    with second_engine(disk="600m") as running:
        yield running


@pytest.fixture(scope="module")
def cells(catalog: Catalog) -> tuple[ImageSpec, ImageSpec]:
    return find(catalog, "resnet50", "onnxruntime"), find(catalog, "bert", "onnxruntime")


@pytest.fixture(scope="module")
def home(daemon: SecondEngine, cells: tuple[ImageSpec, ...], tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host that the bundles are written on: two images with one large layer in common, and a converted model."""
    host = Host(daemon.socket, tmp_path_factory.mktemp("home"))
    state, os.environ["XDG_STATE_HOME"] = os.environ.get("XDG_STATE_HOME"), str(host.home / "state")
    try:
        for spec in cells:
            cell_image.make(DockerEngine(host.client()), spec, REGISTRY, shared=SHARED)
    finally:
        os.environ.pop("XDG_STATE_HOME") if state is None else os.environ.update(XDG_STATE_HOME=state)
    host.models.mkdir(parents=True)
    (host.models / "mine.safetensors").write_bytes(WEIGHTS)
    (host.models / "half.onnx.partial").write_bytes(b"cut off")
    return host


@pytest.fixture(scope="module")
def written(home: Host, cells: tuple[ImageSpec, ...], tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    done = home("bundle", "--all", "--backend", "onnxruntime", "--device", "cpu", "--to", folder, expect=2)
    assert "dlrm:onnxruntime-cpu: mlperf-docker build dlrm -b onnxruntime -d cpu" in done.stderr, "every one is named"
    assert "retinanet:onnxruntime-cpu" in done.stderr
    assert "  resnet50" not in done.stderr
    assert not list(folder.parent.iterdir())
    home("bundle", "resnet50", "--to", folder)
    return Written(folder, tuple(cell.tag for cell in manifests.read(folder).cells))


@pytest.fixture
def copy(written: Written, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written.folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine) -> Iterator[Host]:
    """A host that has nothing yet."""
    with second_engine(disk="600m") as running:
        yield Host(running.socket, tmp_path_factory.mktemp("other"))


@pytest.fixture
def empty(other: Host) -> Host:
    """The other host, with nothing on it again."""
    clear(other)
    return other
