"""The content hash changes exactly when the image would; tags and labels follow from it."""

import dataclasses

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.recipe import render
from mlperf_docker.recipe.build_inputs import BuildInputs, ContextFile, Layer, lock_digest, versions
from mlperf_docker.recipe.identity import exact_tag, moving_tag
from mlperf_docker.recipe.image_labels import labels
from mlperf_docker.recipe.origin import Origin
from mlperf_docker.recipe.requirements import Pin
from mlperf_docker.system.paths import assets

SPEC = Catalog.load(assets() / "images.yaml").specs[0]
BASE = "sha256:" + "0" * 64
NUMPY = Pin("numpy", "2.4.6", "", ("sha256:0",), frozenset())
COMMON = Layer("common", (NUMPY,))
INPUTS = BuildInputs("FROM x\n", (ContextFile("tools/install", b"0"), ContextFile("harness/a.py", b"1")), (COMMON,))
ORIGIN = Origin(
    base_reference="debian:bookworm-slim",
    base_identity=BASE,
    base_origin="pulled",
    revision="unknown",
    version="0.1.0",
)


def with_file(index: int, **changes: object) -> BuildInputs:
    files = list(INPUTS.files)
    files[index] = dataclasses.replace(files[index], **changes)  # type: ignore[arg-type]  # names are given by the cases
    return dataclasses.replace(INPUTS, files=tuple(files))


def with_layer(**changes: object) -> BuildInputs:
    return dataclasses.replace(INPUTS, layers=(dataclasses.replace(COMMON, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(INPUTS, dockerfile="FROM y\n"),
        with_layer(pins=(dataclasses.replace(NUMPY, version="2.4.7"),)),
        with_layer(pins=(dataclasses.replace(NUMPY, hashes=("sha256:1",)),)),
        with_layer(name="backend"),
        with_layer(left_out=("numpy/tests",)),
        with_file(0, data=b"1"),
        with_file(1, path="harness/b.py"),
        with_file(1, data=b"2"),
        with_file(1, mode=0o755),
        dataclasses.replace(INPUTS, files=INPUTS.files[:1]),
        dataclasses.replace(INPUTS, files=(*INPUTS.files, ContextFile("harness/b.py", b""))),
        dataclasses.replace(INPUTS, dockerfile="FROM x\nharness/a.py", files=INPUTS.files[:1]),
    ],
    ids=[
        "dockerfile",
        "version",
        "wheel",
        "layer",
        "left out",
        "script of the steps",
        "path",
        "source",
        "mode",
        "less",
        "more",
        "moved across fields",
    ],
)
def test_every_input_changes_the_hash(changed: BuildInputs) -> None:
    assert changed.digest != INPUTS.digest


def test_another_base_gives_another_hash() -> None:
    recipe = render.recipe_of(SPEC)
    assert recipe.content(BASE) != recipe.content("sha256:" + "1" * 64)


def test_the_order_of_files_does_not_count() -> None:
    other = dataclasses.replace(INPUTS, layers=(COMMON, Layer("backend", ())))
    turned = dataclasses.replace(other, files=other.files[::-1], layers=other.layers[::-1])
    assert turned.digest == other.digest


def test_the_hash_is_the_same_tomorrow() -> None:
    assert INPUTS.digest.hex() == "b2b82c5d309676b56bbf2fb9d7a4d2edd84354570f3741fc1552e8b3cf343e02"


def test_changes_of_other_cells_do_not_change_the_hash() -> None:
    other = SPEC.model.files[3]
    assert other.backend != SPEC.backend
    files = tuple(file for file in SPEC.model.files if file is not other)
    less = SPEC.model_copy(update={"model": SPEC.model.model_copy(update={"files": files})})
    assert render.recipe_of(less).content(BASE) == render.recipe_of(SPEC).content(BASE)


def test_cell_json_counts_for_the_hash() -> None:
    accuracy = tuple(score.model_copy(update={"target": 1.0}) for score in SPEC.model.accuracy)
    other = SPEC.model_copy(update={"model": SPEC.model.model_copy(update={"accuracy": accuracy})})
    assert render.recipe_of(other).content(BASE) != render.recipe_of(SPEC).content(BASE)


def test_host_settings_are_no_input() -> None:
    in_layers = {
        file.path.rpartition("/")[2] for file in render.recipe_of(SPEC).inputs.context() if "layers/" in file.path
    }
    assert in_layers == {"requirements.txt", "left-out.txt"}


def test_an_image_has_an_exact_and_a_moving_tag() -> None:
    moving = "registry.example/mlperf/resnet50:onnxruntime-cpu"
    assert moving_tag(str(SPEC), "registry.example/mlperf") == moving
    assert exact_tag(str(SPEC), "0123456789ab", "registry.example/mlperf") == f"{moving}-0123456789ab"
    recipe = render.recipe_of(SPEC)
    assert recipe.identity.tags(BASE, "registry.example/mlperf") == (f"{moving}-{recipe.content(BASE)}", moving)


def test_labels_describe_the_image() -> None:
    inputs = render.recipe_of(SPEC).inputs
    found = labels(SPEC, inputs, "0123456789ab", ORIGIN)
    pins = versions(inputs)
    assert found["org.mlperf-docker"] == "image"
    assert found["org.mlperf-docker.cell"] == "resnet50:onnxruntime-cpu"
    assert found["org.mlperf-docker.hash"] == "0123456789ab"
    assert found["org.mlperf-docker.precisions"] == "fp32"
    assert found["org.mlperf-docker.base.origin"] == "pulled"
    assert found["org.mlperf-docker.lock"] == lock_digest(inputs)
    assert found["org.mlperf-docker.versions.loadgen"] == pins["mlcommons-loadgen"] == "6.0.17"
    assert found["org.mlperf-docker.versions.backend"] == pins["onnxruntime"] != ""
    assert found["org.opencontainers.image.version"] == "0.1.0-0123456789ab"
    assert found["org.opencontainers.image.base.digest"] == BASE
    assert "org.opencontainers.image.created" not in found
    assert all(found.values())
