"""cell.json: what the host writes into an image is what the harness reads there, and what the harness itself says."""

import ast
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract import places
from mlperf_docker.contract.cell import Cell, OfficialFile
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.scores import Sense, Target
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api import cell
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.backends import registry as backends
from mlperf_docker.harness.models import registry
from mlperf_docker.recipe import render
from mlperf_docker.system.paths import assets

CATALOG = Catalog.load(assets() / "images.yaml")
MODELS = {spec.model.name: spec.model for spec in CATALOG.specs}


def read(folder: Path, facts: dict[str, Any]) -> Cell:
    path = folder / "cell.json"
    path.write_text(json.dumps(facts))
    return cell.read(path)


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_a_written_cell_json_is_read_back(spec: ImageSpec, tmp_path: Path) -> None:
    path = tmp_path / "cell.json"
    path.write_text(render.cell(spec).to_json())
    assert cell.resolve(path, model=None, backend=None, device=None) == render.cell(spec)


def test_cell_json_says_what_the_catalog_says() -> None:
    spec = next(spec for spec in CATALOG.specs if str(spec) == "bert:onnxruntime-cpu")
    made, model = render.cell(spec), spec.model
    assert (made.model, made.backend, made.device) == ("bert", "onnxruntime", Device.CPU)
    assert made.loadgen_key == model.loadgen_key
    (score,) = model.accuracy
    target = made.target("F1")
    assert target is not None
    assert (target.target, target.high_target) == (score.target, score.high_target)
    assert made.target("F2") is None
    assert made.precisions == spec.precisions
    first = next(file for file in model.files if file.backend == spec.backend)
    form = ModelFormat(first.format)
    assert made.official(first.precision) == OfficialFile(first.name, first.precision, form, first.md5, first.sha256)


@pytest.mark.parametrize(
    "change",
    [
        {"device": "abacus"},
        {"precisions": "fp32"},
        {"accuracy": [{"metric": "F1", "target": "high"}]},
        {"files": [{"name": "a.onnx"}]},
        {"model": 1},
    ],
    ids=str,
)
def test_a_cell_json_of_another_shape_is_refused_with_its_path(change: dict[str, Any], tmp_path: Path) -> None:
    facts = {**json.loads(render.cell(CATALOG.specs[0]).to_json()), **change}
    with pytest.raises(UsageError, match=r"cell\.json does not describe a cell: "):
        read(tmp_path, facts)


def test_both_forms_of_a_target_come_back(tmp_path: Path) -> None:
    targets = (
        Target("FID", "", 23.5, Sense.BETWEEN, (23.0, 24.0), (23.2, 23.8)),
        Target("WER", "%", 7.5, Sense.AT_MOST, 8.0),
    )
    made = replace(render.cell(CATALOG.specs[0]), accuracy=targets)
    assert read(tmp_path, json.loads(made.to_json())) == made


def test_the_command_line_overrides_cell_json(tmp_path: Path) -> None:
    made = next(render.cell(spec) for spec in CATALOG.specs if str(spec) == "bert:onnxruntime-cpu")
    path = tmp_path / "cell.json"
    path.write_text(made.to_json())
    gpu = cell.resolve(path, model=None, backend=None, device="cuda")
    assert gpu == replace(made, device=Device.CUDA)
    other = cell.resolve(path, model=None, backend="pytorch", device=None)
    assert (other.backend, other.accuracy, other.files) == ("pytorch", made.accuracy, ())
    assert cell.resolve(path, model="rnnt", backend=None, device=None).accuracy == ()


def test_the_image_has_it_where_the_harness_looks() -> None:
    spec = CATALOG.specs[0]
    (file,) = (file for file in render.recipe_of(spec).inputs.files if file.path.endswith("cell.json"))
    assert (file.path, file.data.decode()) == ("harness/cell.json", render.cell(spec).to_json())
    text = render.render(spec)
    assert f"COPY harness/ {places.HOME}/\n" in text
    assert f'{places.CELL_VARIABLE}="{places.CELL}"' in text


def test_both_know_the_same_models_and_backends() -> None:
    assert set(registry.packages()) == set(MODELS)
    assert set(backends.names()) == {*(backend.name for backend in CATALOG.backends), "dummy"}


@pytest.mark.parametrize("name", MODELS)
def test_a_benchmark_is_what_the_catalog_says(name: str) -> None:
    benchmark, model = registry.load(name), MODELS[name]
    assert benchmark.name == name
    assert benchmark.metrics == tuple(score.metric for score in model.accuracy)
    assert {each.value for each in model.scenarios} <= {each.value for each in Scenario}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("resnet50:onnxruntime-cpu", {"torchvision": False, "channels_last": False}),
        ("resnet50:tensorflow-cpu", {"torchvision": False, "channels_last": True}),
        ("resnet50:pytorch-cpu", {"torchvision": True, "channels_last": False}),
        ("bert:onnxruntime-cpu", {"dtype": "int64", "whole": True}),
        ("bert:tensorflow-cpu", {"dtype": "int32", "whole": True}),
        ("bert:pytorch-cpu", {"dtype": "int64", "whole": False}),
    ],
)
def test_data_are_preprocessed_ahead_in_the_form_of_the_official_file(name: str, form: dict[str, object]) -> None:
    made = next(render.cell(spec) for spec in CATALOG.specs if str(spec) == name)
    official = made.official(made.precisions[0])
    assert official is not None
    found = registry.load(made.model).default_form(official.format)
    assert {key: getattr(found, key) for key in form} == form


def test_every_field_is_asked_for_by_the_harness() -> None:
    """What nobody reads would be part of each image's hash all the same."""
    folder = assets() / "mlperf_docker" / "harness"
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    asked = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    known = {each.name for kind in (Cell, OfficialFile) for each in fields(kind)}
    assert known - asked == set()
