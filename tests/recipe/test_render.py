"""The committed Dockerfiles are what the templates give, and pass the linter."""

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
from mlperf_docker.contract.devices import Device
from mlperf_docker.errors import UsageError
from mlperf_docker.recipe import render
from mlperf_docker.system import paths
from mlperf_docker.system.paths import assets

ROOT = assets()
DOCKERFILES = ROOT / "dockerfiles"
CATALOG = Catalog.load(ROOT / "images.yaml")
SPEC = CATALOG.specs[0]
LONGEST_DOCKERFILE = 60


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
    assert len(text.splitlines()) <= LONGEST_DOCKERFILE
    assert "\n\n\n" not in text


def test_models_of_a_backend_share_everything_above_their_own_layer() -> None:
    for variant in {spec.variant for spec in CATALOG.specs}:
        texts = [
            render.render(spec).partition("FROM backend AS image")[0].partition("ARG BASE")[2]
            for spec in CATALOG.specs
            if spec.variant == variant
        ]
        assert len(set(texts)) == 1


def test_the_image_is_what_its_contract_says() -> None:
    text = render.render(SPEC)
    last = text[text.index("FROM backend AS image") :]
    assert "USER 65532:65532" in last
    assert 'ENTRYPOINT ["/opt/venv/bin/python", "-m", "mlperf_docker.harness"]' in last
    assert "# syntax" not in text
    assert text.count("/run/mlperf/install layer ") == 3
    for layer in ("common", "backend", "opencv-python-headless"):
        assert text.count(f"src=layers/{layer},") == text.count(f"/run/mlperf/install layer {layer}\n") == 1
    assert text.count("apt-get update") == text.count("rm -rf /var/lib/apt/lists/*")


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_onnxruntime_is_told_not_to_report(spec: ImageSpec) -> None:
    assert (' ORT_DISABLE_TELEMETRY="1"' in render.render(spec)) is (spec.backend == "onnxruntime")


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_a_cuda_image_asks_for_the_driver_whatever_its_base(spec: ImageSpec) -> None:
    text = render.render(spec)
    for line in ('NVIDIA_DRIVER_CAPABILITIES="compute,utility"', 'NVIDIA_VISIBLE_DEVICES="all"'):
        assert (line in text) is (spec.device is Device.CUDA)


@pytest.mark.parametrize("spec", CATALOG.specs, ids=str)
def test_a_makers_index_goes_with_the_layer_that_needs_it(spec: ImageSpec) -> None:
    inputs = render.recipe_of(spec).inputs
    assert [layer.name for layer in inputs.layers] == ["common", "backend", *map(canonical, spec.model_requirements)]
    indexes = [(layer.name, layer.index.url, layer.index.python) for layer in inputs.layers if layer.index]
    assert indexes == ([("backend", spec.own_index, spec.base.python)] if spec.own_index else [])
    assert not [layer.name for layer in inputs.layers if "+" in "".join(layer.versions.values()) and not layer.index]


def test_models_share_the_layers_of_the_libraries_that_they_share() -> None:
    one, two = (
        render.recipe_of(find(CATALOG, model, "onnxruntime", "cpu")).inputs for model in ("resnet50", "retinanet")
    )
    assert one.layers == two.layers[:3]
    assert one.layers[-1].pins
    upto = one.dockerfile.index("\n\n# Any user")
    # All steps before the model's own are the same, and so is that of the library that both have, which comes first.
    assert one.dockerfile[one.dockerfile.index("RUN", one.dockerfile.index("AS image")) : upto] in two.dockerfile


def test_a_model_without_libraries_of_its_own_installs_none() -> None:
    text = render.render(SPEC.model_copy(update={"model_requirements": (), "apt": ("libsndfile1",)}))
    assert text.count("src=layers/") == 2
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


def test_the_build_context_is_complete_and_clean() -> None:
    files = {file.path: file for file in render.recipe_of(SPEC).inputs.context()}
    layers = ("common", "backend", "opencv-python-headless")
    assert {path for path in files if path.endswith("/requirements.txt")} == {
        f"layers/{each}/requirements.txt" for each in layers
    }
    assert files["layers/common/left-out.txt"].data == b"numpy/**/tests\n"
    assert {"tools/layout.json", "harness/cell.json", "harness/mlperf_docker/__init__.py"} < files.keys()
    assert "harness/mlperf_docker/harness/__init__.py" in files
    assert "harness/mlperf_docker/spec.py" not in files
    assert not [path for path in files if "__pycache__" in path or "/." in path]
    assert [path for path, file in files.items() if file.mode != 0o644] == ["tools/install"]
    assert files["tools/install"].mode == 0o755


def test_a_cell_without_a_lock_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "assets", lambda: tmp_path)
    with pytest.raises(UsageError, match="There is no lock at") as caught:
        render.recipe_of(SPEC)
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
    """All Dockerfiles in one call."""
    rendered = [tmp_path / str(spec).replace(":", "-") for spec in CATALOG.specs]
    for path, spec in zip(rendered, CATALOG.specs, strict=True):
        path.write_text(render.render(spec))
    argv = [hadolint(), "--no-color", f"--config={ROOT / '.hadolint.yaml'}", *map(str, rendered)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
