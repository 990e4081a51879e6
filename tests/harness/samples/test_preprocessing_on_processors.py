"""Preprocessing on lesser processors than the one at hand: the plain rules hold, and differences have bounds."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.harness.process import PATIENCE_S, ROOT, environment
from tests.harness.samples.processors import FILES, SETTINGS, code_used, everything, is_x86, write_data

pytestmark = pytest.mark.skipif(not is_x86(), reason="the settings are those of x86")

BOUNDS = {"retinanet": 2e-5, "rnnt": 1e-5, "dlrm": 2e-6}
"""How far values may lie apart from processor to processor; what is not here has the same bits on all."""

Found = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What this very process makes of the data."""
    return everything(data, tmp_path_factory.mktemp("cache"))


def test_every_model_has_a_rule_that_is_repeated() -> None:
    assert {path.parent.name for path in FILES} == {
        "samples",
        "resnet50",
        "retinanet",
        "unet3d",
        "rnnt",
        "dlrm",
        "bert",
    }


@pytest.mark.parametrize("processor", SETTINGS)
def test_preprocessing_on_another_processor(data: Path, here: Found, tmp_path: Path, processor: str) -> None:
    line = [sys.executable, "-m", "tests.harness.samples.processors", str(data), str(tmp_path / "out")]
    done = subprocess.run(
        line,
        cwd=ROOT,
        env={**environment(), **SETTINGS[processor]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout
    is_obeyed(SETTINGS[processor], json.loads((tmp_path / "out/used.json").read_text()))
    with np.load(tmp_path / "out/found.npz") as there:
        assert set(there) == set(here)
        for name, own in here.items():
            bound = BOUNDS.get(name, 0)
            np.testing.assert_allclose(there[name], own, rtol=0, atol=bound, err_msg=name, equal_nan=False)


def is_obeyed(settings: Mapping[str, str], used: dict[str, Any]) -> None:
    """The libraries know what they were told, which they pass over otherwise, and did it."""
    own = code_used()
    for library, variable in (("opencv", "OPENCV_CPU_DISABLE"), ("numpy", "NPY_DISABLE_CPU_FEATURES")):
        disabled = set(settings.get(variable, "").replace(",", " ").split())
        assert disabled <= set(used[library]["known"])
        assert not disabled & set(used[library]["used"])
    assert used["ipp"] in ({"disabled": None, "avx2": "AVX2", "sse42": "SSE4.2"}[settings["OPENCV_IPP"]], own["ipp"])
    assert used["torch"] in (settings.get("ATEN_CPU_CAPABILITY", own["torch"]).upper(), own["torch"])
