"""cell.json: what the host writes into an image is what the harness reads there, and what the harness itself says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.__main__ import DEFAULT_CELL
from mlperf_docker.harness.api import cell
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.backends.registry import BACKENDS
from mlperf_docker.harness.models import registry
from mlperf_docker.recipe import render
from mlperf_docker.system.paths import assets

CATALOG = Catalog.load(assets() / "images.yaml")
MODELS = {spec.model.name: spec.model for spec in CATALOG.specs}

UNREAD = {
    *("title", "loadgen_key", "scenarios"),
    *("accuracy.metric", "accuracy.unit", "accuracy.reference"),
    *("dataset.name", "dataset.title", "dataset.marker", "dataset.count"),
}
"""Keys that are written and not read; they make an image's hash depend on what nobody asks. None is to be added."""

OTHER_METRICS = {"resnet50": "top1"}
"""Models whose metric the harness calls otherwise than images.yaml. None is to be added."""


def read(folder: Path, facts: dict[str, Any]) -> cell.Cell:
    path = folder / "cell.json"
    path.write_text(json.dumps(facts))
    return cell.read(path)


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_what_is_written_is_read(spec: ImageSpec, tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    path.write_bytes(render.cell(spec))
    files = [file for file in spec.model.files if file.backend == spec.backend]
    assert cell.resolve(path, model=None, backend=None, device=None) == cell.Cell(
        model=spec.model.name,
        backend=spec.backend,
        device=Device(spec.device.value),
        precisions=tuple(precision.value for precision in spec.precisions),
        target=spec.model.accuracy.target,
        files=tuple(
            cell.OfficialFile(file.name, file.precision.value, file.format, file.md5, file.sha256) for file in files
        ),
    )


def test_the_image_has_it_where_the_harness_looks() -> None:
    spec = CATALOG.specs[0]
    (file,) = (file for file in render.recipe_of(spec).inputs.files if file.path.endswith("cell.json"))
    assert (file.path, file.data) == ("harness/cell.json", render.cell(spec))
    text = render.render(spec)
    assert f"COPY harness/ {DEFAULT_CELL.parent}/\n" in text
    assert f'MLPERF_CELL="{DEFAULT_CELL}"' in text


def test_every_key_is_read_but_those_that_are_known_not_to_be(tmp_path: Path) -> None:
    """A key is read if its absence makes another cell, or none."""
    facts = json.loads(render.cell(next(spec for spec in CATALOG.specs if str(spec) == "bert:onnxruntime-cpu")))
    before = read(tmp_path, facts)
    unread = {".".join(path) for path in _leaves(facts) if not _makes_another(tmp_path, facts, path, before)}
    assert unread == UNREAD


def _leaves(facts: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _makes_another(folder: Path, facts: dict[str, Any], path: tuple[str, ...], before: cell.Cell) -> bool:
    changed = json.loads(json.dumps(facts))
    within = changed
    for key in path[:-1]:
        within = within[key]
    del within[path[-1]]
    try:
        return read(folder, changed) != before
    except UsageError:
        return True


def test_every_key_of_a_file_is_read(tmp_path: Path) -> None:
    file = {"name": "a.onnx", "precision": "int8", "format": "onnx", "md5": "0" * 32, "sha256": "1" * 64}
    facts = json.loads(render.cell(CATALOG.specs[0]))
    assert {key for each in facts["files"] for key in each} <= file.keys()
    (made,) = read(tmp_path, {**facts, "files": [file]}).files
    assert made == cell.OfficialFile(**file)


def test_both_know_the_same_models_and_backends() -> None:
    assert set(registry.MODELS) == set(MODELS)
    assert set(BACKENDS) == {*(backend.name for backend in CATALOG.backends), "dummy"}


@pytest.mark.parametrize("name", MODELS)
def test_a_benchmark_is_what_the_catalog_says(name: str) -> None:
    benchmark, model = registry.load(name), MODELS[name]
    assert (benchmark.name, benchmark.loadgen_key) == (name, model.loadgen_key)
    assert benchmark.metric == OTHER_METRICS.get(name, model.accuracy.metric)
    assert {each.value for each in model.scenarios} <= {each.value for each in Scenario}


def test_the_metrics_that_differ_are_known() -> None:
    differing = {name for name, model in MODELS.items() if registry.load(name).metric != model.accuracy.metric}
    assert differing == OTHER_METRICS.keys()
