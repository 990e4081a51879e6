"""RetinaNet by the reference: a stand-in of it, and the real one where there is one."""

import importlib.util
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from tests.reference_harness.conftest import TORCHVISION, HarnessOf

pytest.importorskip("torch")


@pytest.mark.parametrize(("backend", "count"), [("onnxruntime", 24), ("pytorch", 6)])
def test_a_stand_in_of_retinanet_reaches_the_known_score(harness_of: HarnessOf, backend: str, count: int) -> None:
    done = harness_of("retinanet", backend)("--mode=accuracy", f"--samples={count}", PYTHONPATH=TORCHVISION)
    assert (done.code, done.result["reasons"], done.result["samples"]) == (ExitCode.VALID, [], count)
    assert done.result["accuracy"]["value"] == pytest.approx(done.result["accuracy"]["target"], abs=0.001)
    told = any("torchvision's library does not load" in remark for remark in done.result["settings"]["remarks"])
    assert told is (backend == "pytorch")


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_real_retinanet_answers_alike(harness_of: HarnessOf, real_checkout: Path) -> None:
    done = harness_of("retinanet", "pytorch")("--mode=accuracy", f"--checkout={real_checkout}")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["accuracy"]["value"] == pytest.approx(done.result["accuracy"]["target"], abs=0.001)
