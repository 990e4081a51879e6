"""Layers of reference implementations: hashed over the cell's image and their own parts, and locked."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.reference import OnBackend, ReferenceOnDevice
from mlperf_docker.catalog.selector import find
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.devices import Device
from mlperf_docker.errors import UsageError
from mlperf_docker.names import HarnessName
from mlperf_docker.recipe.origin import Origin
from mlperf_docker.recipe.reference_layer import (
    lock_of,
    recipe_named,
    recipes,
    reference_of,
    reference_recipe,
    with_reference,
)
from mlperf_docker.recipe.render import recipe_of
from mlperf_docker.recipe.requirements import parse
from mlperf_docker.system.paths import assets

CATALOG = Catalog.load()
SPECS = {str(spec): spec for spec in with_reference(CATALOG)}
LOCKS = assets() / "locks"


def with_changed(spec: ImageSpec, **changes: object) -> ImageSpec:
    """The cell with another reference on its backend."""
    assert spec.model.reference
    on = spec.model.reference.on(spec.backend).model_copy(update=changes)
    backends = {**spec.model.reference.backends, spec.backend: on}
    reference = spec.model.reference.model_copy(update={"backends": backends})
    return spec.model_copy(update={"model": spec.model.model_copy(update={"reference": reference})})


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_references_recipe_stands_on_that_of_its_cell(spec: ImageSpec) -> None:
    recipe = reference_recipe(spec)
    assert recipe.below is not None
    assert recipe.below.source == recipe_of(spec).source
    exact, moving = recipe.identity.tags("sha256:0", "registry")
    assert moving == f"registry/{spec.model.name}:{spec.variant}-reference"
    assert exact.removeprefix(f"{moving}-") != recipe.below.content("sha256:0")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_references_lock_fits_its_cells(spec: ImageSpec) -> None:
    """Beside the harness's packages there is one version of each."""
    _, on = reference_of(spec)
    if not on.requirements or on.own_venv:
        return
    cells = parse((LOCKS / spec.lock).read_text())
    own = parse((LOCKS / lock_of(spec)).read_text())
    assert {name for name in own.keys() & cells.keys() if own[name].version != cells[name].version} == set()
    installed = {pin.name for layer in reference_recipe(spec).inputs.layers for pin in layer.pins}
    assert not installed & {pin.name for layer in recipe_of(spec).inputs.layers for pin in layer.pins}


def test_every_lock_of_a_reference_is_of_a_cell() -> None:
    known = {lock_of(spec) for spec in SPECS.values()}
    assert {f"reference/{path.name}" for path in (LOCKS / "reference").glob("*.txt")} <= known


def test_another_word_of_a_reference_gives_another_image_and_leaves_the_cells() -> None:
    spec = find(CATALOG, "resnet50", "onnxruntime")
    other = with_changed(spec, arguments=("--profile=another",))
    assert reference_recipe(other).source != reference_recipe(spec).source
    assert recipe_of(other).source == recipe_of(spec).source


def test_another_cell_gives_its_reference_another_image() -> None:
    recipe = reference_recipe(find(CATALOG, "resnet50", "onnxruntime"))
    assert recipe.below is not None
    changed = replace(recipe.below, inputs=replace(recipe.below.inputs, dockerfile="FROM scratch"))
    assert replace(recipe, below=changed).source != recipe.source


def test_the_image_of_a_reference_says_whose_it_is() -> None:
    recipe = reference_recipe(find(CATALOG, "resnet50", "onnxruntime"))
    labels = recipe.labels(Origin("base", "sha256:0", "local", "abc", "1"))
    assert recipe.below is not None
    assert labels["org.mlperf-docker.cell"] == "resnet50:onnxruntime-cpu-reference"
    assert labels["org.mlperf-docker.reference"] == recipe.reference
    assert labels["org.mlperf-docker.versions.loadgen"]


def test_a_reference_that_cannot_run_says_why() -> None:
    with pytest.raises(UsageError, match="cannot run on tensorflow and cpu: it has no code") as caught:
        reference_recipe(find(CATALOG, "retinanet", "tensorflow"))
    assert "onnxruntime, pytorch" in (caught.value.hint or "")


def test_a_reference_that_cannot_run_on_a_device_says_why_and_where_it_can() -> None:
    nowhere = {Device.CUDA: ReferenceOnDevice(unsupported="it has no code for a GPU")}
    spec = with_changed(find(CATALOG, "resnet50", "onnxruntime", "cuda"), devices=nowhere)
    with pytest.raises(UsageError, match="cannot run on onnxruntime and cuda: it has no code for a GPU") as caught:
        reference_recipe(spec)
    assert caught.value.hint == "It can on tensorflow, pytorch."


def test_a_device_has_words_and_variables_of_its_own() -> None:
    spec = find(CATALOG, "bert", "onnxruntime", "cuda")
    changed = with_changed(
        spec, devices={Device.CUDA: ReferenceOnDevice(arguments=("--gpu",), environment={"STREAMS": "2"})}
    )
    assert changed.model.reference
    found = changed.model.reference.described("onnxruntime", Device.CUDA)
    assert "--gpu" in found.arguments
    assert (found.environment["STREAMS"], found.environment["USE_GPU"]) == ("2", "yes")
    elsewhere = changed.model.reference.described("onnxruntime", Device.CPU)
    assert "--gpu" not in elsewhere.arguments
    assert elsewhere.environment["USE_GPU"] == "no"


def test_a_device_without_the_reference_has_nothing_but_the_reason() -> None:
    with pytest.raises(ValueError, match="only the reason"):
        ReferenceOnDevice(unsupported="it has none", arguments=("--gpu",))


def test_a_reference_with_packages_of_its_own_gets_a_virtual_environment() -> None:
    spec = with_changed(find(CATALOG, "resnet50", "onnxruntime"), own_venv=True)
    recipe = reference_recipe(spec)
    (layout,) = (file for file in recipe.inputs.files if file.path == "tools/layout.json")
    assert b'"venv": "/opt/reference"' in layout.data
    assert {pin.name for layer in recipe.inputs.layers for pin in layer.pins} >= {"numpy", "pycocotools"}


def test_a_backend_without_the_reference_has_nothing_but_the_reason() -> None:
    with pytest.raises(ValueError, match="only the reason"):
        OnBackend(unsupported="it has none", requirements=("numpy>=2",))


def test_images_are_chosen_by_the_harness_that_they_are_for() -> None:
    resnet50 = find(CATALOG, "resnet50", "onnxruntime")
    own = recipes([resnet50], HarnessName.OWN, every=False)
    assert [(str(each), each.words) for each in own] == [("resnet50:onnxruntime-cpu", resnet50.words)]
    (other,) = recipes([resnet50], HarnessName.REFERENCE, every=False)
    assert str(other) == "resnet50:onnxruntime-cpu-reference"
    assert other.words == f"{resnet50.words} --harness reference"
    with pytest.raises(UsageError, match="it has no code for RetinaNet"):
        recipes([find(CATALOG, "retinanet", "tensorflow")], HarnessName.REFERENCE, every=False)
    every = recipes(CATALOG.specs, HarnessName.REFERENCE, every=True)
    assert [str(each) for each in every] == [f"{name}-reference" for name in SPECS]
    with pytest.raises(UsageError, match="none of these cells"):
        recipes([], HarnessName.REFERENCE, every=True)


def test_an_image_is_found_by_its_name() -> None:
    for name in ("resnet50:onnxruntime-cpu", "resnet50:onnxruntime-cpu-reference"):
        found = recipe_named(CATALOG, name)
        assert found
        assert str(found) == name
    assert recipe_named(CATALOG, "retinanet:tensorflow-cpu-reference") is None
    assert recipe_named(CATALOG, "no-such-model:onnxruntime-cpu-reference") is None


def test_no_line_of_a_checkout_is_in_the_build_context() -> None:
    recipe = reference_recipe(find(CATALOG, "resnet50", "onnxruntime"))
    folders = {Path(file.path).parts[0] for file in recipe.inputs.context()}
    assert folders == {"tools", "harness", "layers"}
