"""ResNet-50 by the reference on PyTorch: a stand-in of it, and the real one where there is one."""

import importlib.util
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from tests.reference_harness.conftest import TORCHVISION, HarnessOf

pytest.importorskip("torch")


def test_a_stand_in_reads_an_archive_of_the_synthetic_weights(harness_of: HarnessOf) -> None:
    done = harness_of("resnet50", "pytorch")("--mode=accuracy", PYTHONPATH=TORCHVISION)
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["accuracy"]["value"] == done.result["accuracy"]["target"] == 87.5


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_real_resnet50_answers_alike(harness_of: HarnessOf, real_checkout: Path) -> None:
    done = harness_of("resnet50", "pytorch")("--mode=accuracy", f"--checkout={real_checkout}")
    assert (done.code, done.result["accuracy"]["value"]) == (ExitCode.VALID, 87.5)
