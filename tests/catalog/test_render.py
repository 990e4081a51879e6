"""The committed Dockerfiles are what the templates give, and pass the linter."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.requirement_names import canonical
from mlperf_docker.catalog.selector import find
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.words import Device
from mlperf_docker.errors import UsageError
from mlperf_docker.images.building.buildkit import _UNSUITABLE
from mlperf_docker.names import Backend
from mlperf_docker.recipe import render
from mlperf_docker.recipe.build_inputs import versions
from mlperf_docker.system import paths
from mlperf_docker.system.paths import assets

ROOT = assets()
DOCKERFILES = ROOT / "dockerfiles"
CATALOG = Catalog.load(ROOT / "images.yaml")
SPEC = CATALOG.specs[0]


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_the_committed_dockerfile_is_current(spec: ImageSpec) -> None:
    assert (DOCKERFILES / spec.dockerfile).read_text() == render.render(spec), "run: mlperf-docker render"


def test_nothing_else_is_committed() -> None:
    assert render.drift(CATALOG) == ""


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_every_cell_renders(spec: ImageSpec) -> None:
    text = render.render(spec)
    assert text.startswith(render.GENERATED)
    assert text.endswith("]\n")
    assert f"ARG BASE={spec.base.pinned}\n" in text
    assert "{{" not in text
    assert "{%" not in text


def test_models_of_a_backend_share_everything_above_their_own_layer() -> None:
    for variant in {spec.variant for spec in CATALOG.specs}:
        texts = [
            render.render(spec).partition("FROM backend AS model")[0].partition("ARG BASE")[2].rpartition("\n#")[0]
            for spec in CATALOG.specs
            if spec.variant == variant
        ]
        assert len(texts) == 6
        assert len(set(texts)) == 1


def test_the_image_is_what_its_contract_says() -> None:
    text = render.render(SPEC)
    last = text[text.index("FROM model AS image") :]
    assert "USER 65532:65532" in last
    assert 'ENTRYPOINT ["/opt/venv/bin/python", "-m", "mlperf_docker.harness"]' in last
    assert "# syntax" not in text
    assert text.count("--require-hashes") == text.count("pip install") == 3
    for layer in ("common", "backend", "opencv-python-headless"):
        assert text.count(f"source=requirements/{layer}.txt,") == text.count(f"source=host/{layer},") == 1
    assert text.count("apt-get update") == text.count("rm -rf /var/lib/apt/lists/*")


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_onnxruntime_is_told_not_to_report(spec: ImageSpec) -> None:
    assert ('ENV ORT_DISABLE_TELEMETRY="1"' in render.render(spec)) is (spec.backend is Backend.ONNXRUNTIME)


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_a_cuda_image_asks_for_the_driver_whatever_its_base(spec: ImageSpec) -> None:
    text = render.render(spec)
    for line in ('NVIDIA_DRIVER_CAPABILITIES="compute,utility"', 'NVIDIA_VISIBLE_DEVICES="all"'):
        assert (line in text) is (spec.device is Device.CUDA)


@pytest.mark.parametrize("served", [True, False])
def test_the_step_that_looks_at_the_bases_python_lets_only_those_pass_that_are_locked_for(
    tmp_path: Path, served: bool
) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    text = render.render(SPEC.model_copy(update={"pythons": (here, "3.99") if served else ("3.98", "3.99")}))
    step = text[text.index("FROM python AS tools") :].partition("RUN ")[2].partition("\nRUN")[0].replace("\\\n", "")
    (tmp_path / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        ["/bin/sh", "-c", step], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60
    )
    said = f"This base has Python {here}, and the locked packages are for 3.98, 3.99.\n"
    assert (done.returncode, done.stderr) == ((0, "") if served else (1, said))
    assert any(sign.search(said) for sign in _UNSUITABLE), "the engine's part knows the sentence"


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_a_makers_index_goes_with_the_layer_that_needs_it(spec: ImageSpec) -> None:
    inputs = render.build_inputs(spec)
    assert set(inputs.layers) == {"backend", "common", *map(canonical, spec.model_requirements)}
    indexes = [(each.layer, each.url, each.python) for each in inputs.indexes]
    assert indexes == ([("backend", spec.own_index, spec.base.python)] if spec.own_index else [])
    for layer in inputs.layers:
        local = [version for version in versions(inputs, layer).values() if "+" in version]
        assert not local or layer in [each.layer for each in inputs.indexes]


def test_models_share_the_layers_of_the_libraries_that_they_share() -> None:
    one, two = (render.build_inputs(find(CATALOG, model, "onnxruntime", "cpu")) for model in ("resnet50", "retinanet"))
    path = "requirements/opencv-python-headless.txt"
    texts = {file.path: file.data for file in one.files}, {file.path: file.data for file in two.files}
    assert texts[0][path] == texts[1][path] != b""
    upto = one.dockerfile.index("FROM model AS image")
    # All steps before the model's own are the same, and so is that of the library that both have, which comes first.
    assert one.dockerfile[one.dockerfile.index("FROM backend AS model") : upto].strip() in two.dockerfile


def test_a_model_without_libraries_of_its_own_installs_none() -> None:
    text = render.render(SPEC.model_copy(update={"model_requirements": (), "apt": ("libsndfile1",)}))
    assert text.count("source=requirements/") == 2
    assert "install --yes --no-install-recommends libsndfile1" in text


def test_an_undefined_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.j2").write_text("FROM {{ spec.base.pined }}\n")
    with pytest.raises(UndefinedError, match="pined"):
        render.render(SPEC, tmp_path)


def test_an_exception_has_a_template_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.j2").write_text("{% block a %}common{% endblock %}\n")
    (tmp_path / "onnxruntime.Dockerfile.j2").write_text(
        "{% extends 'Dockerfile.j2' %}{% block a %}{{ super() }} and own{% endblock %}"
    )
    assert render.render(SPEC, tmp_path) == "common and own\n"
    other = next(spec for spec in CATALOG.specs if spec.backend != SPEC.backend)
    assert render.render(other, tmp_path) == "common\n"


def test_drift_is_shown_and_repaired(tmp_path: Path) -> None:
    path = tmp_path / SPEC.dockerfile
    render.write(CATALOG, tmp_path)
    path.write_text(path.read_text().replace("USER 65532", "USER 0"))
    stale = tmp_path / "resnet50" / "gone-cpu.Dockerfile"
    stale.write_text(f"{render.GENERATED} from images.yaml\n")
    difference = render.drift(CATALOG, tmp_path)
    assert "-USER 0:65532\n+USER 65532:65532" in difference
    assert "gone-cpu.Dockerfile" in difference
    assert set(render.write(CATALOG, tmp_path)) == {path, stale}
    assert render.drift(CATALOG, tmp_path) == ""
    assert not stale.exists()


def test_a_file_made_by_hand_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "resnet50" / "mine.Dockerfile"
    path.parent.mkdir()
    path.write_text("FROM scratch\n")
    with pytest.raises(UsageError, match="belongs to no cell"):
        render.write(CATALOG, tmp_path)
    assert path.exists()


def test_cell_json_tells_the_harness_all_it_needs() -> None:
    facts = json.loads(render.cell(SPEC))
    assert list(facts) == [
        "model",
        "title",
        "backend",
        "device",
        "precisions",
        "loadgen_key",
        "scenarios",
        "accuracy",
        "dataset",
        "files",
    ]
    assert facts["accuracy"] == {"metric": "top-1", "unit": "%", "reference": 76.46, "target": 75.6954}
    assert facts["dataset"] == {
        "name": "imagenet2012",
        "title": "ImageNet 2012 validation set",
        "marker": "val_map.txt",
        "count": 50000,
    }
    assert facts["scenarios"] == ["SingleStream", "MultiStream", "Server", "Offline"]
    assert facts["files"][0] == {
        "name": "resnet50_v1.onnx",
        "precision": "fp32",
        "format": "onnx",
        "md5": "f6a4da60cd5f084d97efc2c1ddb10beb",
        "sha256": None,
    }
    assert {file["name"] for file in facts["files"]} == {"resnet50_v1.onnx", "resnet50_v1_modified.onnx"}


def test_the_build_context_is_complete_and_clean() -> None:
    files = {file.path: file for file in render.build_inputs(SPEC).files}
    layers = ("common", "backend", "opencv-python-headless")
    assert {path for path in files if path.startswith("requirements/")} == {
        f"requirements/{each}.txt" for each in layers
    }
    assert {"harness/cell.json", "harness/mlperf_docker/__init__.py"} < files.keys()
    assert "harness/mlperf_docker/harness/__init__.py" in files
    assert "harness/mlperf_docker/spec.py" not in files
    assert not [path for path in files if "__pycache__" in path or "/." in path]
    assert {file.mode for file in files.values()} == {0o644}


def test_a_cell_without_a_lock_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "assets", lambda: tmp_path)
    with pytest.raises(UsageError, match="There is no lock at") as caught:
        render.build_inputs(SPEC)
    assert caught.value.hint == "Make it with: mlperf-docker lock"


def hadolint() -> str:
    """The linter's path; skips the test where it is missing, except where CI counts on it."""
    beside = Path(sys.executable).with_name("hadolint")
    found = str(beside) if beside.is_file() else shutil.which("hadolint")
    if not found and os.environ.get("CI") != "true":
        pytest.skip("hadolint is not installed")
    assert found, "hadolint is not installed, and CI=true"
    return found


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    """All 36 Dockerfiles in one call."""
    rendered = [tmp_path / str(spec).replace(":", "-") for spec in CATALOG.specs]
    for path, spec in zip(rendered, CATALOG.specs, strict=True):
        path.write_text(render.render(spec))
    argv = [hadolint(), "--no-color", f"--config={ROOT / '.hadolint.yaml'}", *map(str, rendered)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
