"""Files that the reference of 3D-UNet reads, and the real one where there is one."""

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.reference_harness.models.unet3d import write_case
from tests.reference_harness.conftest import ReferenceHarness


def test_a_case_is_a_pickle_of_volume_and_marks_with_the_marks_as_nifti(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    volume = rng.normal(size=(4, 5, 6)).astype(np.float32)
    marks = rng.integers(0, 3, (4, 5, 6)).astype(np.uint8)
    write_case(tmp_path, "case_00000", volume, marks)
    with (tmp_path / "case_00000.pkl").open("rb") as stream:
        image, label = pickle.load(stream)  # noqa: S301 (its own)
    assert image.dtype == np.float32
    assert np.array_equal(image, volume[None])
    assert np.array_equal(label, marks[None])
    written = nibabel.load(tmp_path / "nifti" / "case_00000" / "segmentation.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), marks)


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch", "tensorflow"])
def test_a_run_of_the_real_3d_unet_counts(
    harness_of: Callable[[str, str], ReferenceHarness], real_checkout: Path, backend: str
) -> None:
    """No setting is read twice, which LoadGen would log as an error."""
    done = harness_of("3d-unet", backend)("--mode=accuracy", f"--checkout={real_checkout}")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["accuracy"]["passed"]
