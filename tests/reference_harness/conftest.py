"""Reference harness as a command, on a stand-in of a checkout and synthetic data."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.recipe.render import cell
from mlperf_docker.reference_contract import places
from tests.harness.process import PATIENCE_S, ROOT, Finished, environment

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAND_IN = FIXTURES / "checkout"
TORCHVISION = f"{ROOT}:{FIXTURES / 'packages'}"
"""PYTHONPATH with a stand-in of torchvision, for the case that it is not installed."""

ReferenceHarness = Callable[..., Finished]
HarnessOf = Callable[..., ReferenceHarness]


@pytest.fixture(scope="session")
def reference_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STAND_IN, tmp_path / "checkout"))


@pytest.fixture
def harness_of(reference_cache: Path, checkout: Path, tmp_path: Path) -> HarnessOf:
    """Run `python -m mlperf_docker.reference_harness run --synthetic=tiny …` for a model, a backend and a device."""

    def harness(model: str, backend: str, device: str = "cpu") -> ReferenceHarness:
        spec = find(Catalog.load(), model, backend, device)
        assert spec.model.reference
        (tmp_path / "cell.json").write_text(cell(spec).to_json())
        (tmp_path / "reference.json").write_text(spec.model.reference.described(spec.backend, spec.device).to_json())
        (tmp_path / "results").mkdir()

        def run(*arguments: object, fault: str = "", **variables: str) -> Finished:
            folders = {"cell": "cell.json", "results": "results", "checkout": "checkout"}
            line = [sys.executable, "-m", "mlperf_docker.reference_harness", "run", "--synthetic=tiny"]
            line += [f"--{name}={tmp_path / path}" for name, path in folders.items()]
            line += [f"--cache={reference_cache}", *map(str, arguments)]
            own = {places.DESCRIPTION_VARIABLE: str(tmp_path / "reference.json"), "STAND_IN_FAULT": fault, **variables}
            done = subprocess.run(
                line, capture_output=True, text=True, timeout=PATIENCE_S, env={**environment(), **own}, cwd=tmp_path
            )
            return Finished(done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr)

        return run

    return harness


@pytest.fixture
def reference_harness(harness_of: HarnessOf) -> ReferenceHarness:
    """The same for resnet50 on onnxruntime."""
    return harness_of("resnet50", "onnxruntime")


@pytest.fixture
def real_checkout() -> Path:
    """The user's checkout of mlcommons/inference. Skips without one."""
    path = os.environ.get("MLPERF_INFERENCE")
    if not path:
        pytest.skip("MLPERF_INFERENCE names no checkout of mlcommons/inference")
    return Path(path)
