"""Files that the reference of DLRM reads, and runs of a stand-in of it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.harness.models.dlrm.dataset import BINARY, COLUMNS, DENSE, open_criteo
from mlperf_docker.reference_harness.models import dlrm
from tests.fixtures.reference_checkout import MODEL_CODE
from tests.reference_harness.conftest import ReferenceHarness

BACKENDS = ("onnxruntime", "pytorch")

HarnessOf = Callable[[str, str], ReferenceHarness]


@pytest.fixture(params=BACKENDS)
def reference(harness_of: HarnessOf, request: pytest.FixtureRequest) -> ReferenceHarness:
    pytest.importorskip("torch")
    return harness_of("dlrm", request.param)


def test_a_stand_in_of_dlrm_reaches_the_known_score(reference: ReferenceHarness, tmp_path: Path) -> None:
    """Rows are grouped into the same samples, and the network has the size of the synthetic weights."""
    done = reference("--mode=accuracy", f"--model-code={MODEL_CODE}")
    assert (done.code, done.result["reasons"]) == (ExitCode.VALID, [])
    assert done.result["samples"] == 64
    assert (tmp_path / "results" / "accuracy.txt").read_text().startswith("AUC=82.086%")
    assert done.result["settings"]["batch_size"] >= 1


def test_loadgen_knows_dlrm_by_its_name(harness_of: HarnessOf, tmp_path: Path) -> None:
    """The script tells LoadGen the path of the model file; mlperf.conf has a bound on latency for `dlrm` alone."""
    done = harness_of("dlrm", "onnxruntime")(
        "--scenario=Server", "--min-duration=1", "--target-qps=500", f"--model-code={MODEL_CODE}"
    )
    assert done.result["settings"]["target_qps"] == 500
    log = (tmp_path / "results" / "mlperf_log_detail.txt").read_text()
    (bound,) = (
        json.loads(line.partition(" ")[2]) for line in log.splitlines() if '"effective_target_latency_ns"' in line
    )
    assert bound["value"] == 60_000_000


def test_a_part_of_the_samples_is_all_that_it_gets(harness_of: HarnessOf) -> None:
    done = harness_of("dlrm", "onnxruntime")("--mode=accuracy", "--samples=10", f"--model-code={MODEL_CODE}")
    assert (done.code, done.result["samples"]) == (ExitCode.VALID, 10)


def test_model_code_that_is_not_there_is_an_error(harness_of: HarnessOf, tmp_path: Path) -> None:
    done = harness_of("dlrm", "onnxruntime")("--mode=accuracy", f"--model-code={tmp_path}")
    assert done.code == ExitCode.USAGE
    assert (
        "lacks data_loader_terabyte.py, data_utils.py, dlrm_data_pytorch.py, dlrm_s_pytorch.py" in done.error["message"]
    )


def test_the_real_reference_of_dlrm_answers_alike(reference: ReferenceHarness, real_checkout: Path) -> None:
    code = os.environ.get("DLRM_DIR")
    if not code:
        pytest.skip("DLRM_DIR names no folder with facebookresearch/dlrm")
    for name in ("tqdm", "tensorboard"):
        pytest.importorskip(name, reason="the model code imports it")
    done = reference("--mode=accuracy", f"--checkout={real_checkout}", f"--model-code={code}")
    assert (done.code, done.result["accuracy"]["value"]) == (ExitCode.VALID, 82.086)


def test_rows_are_the_first_half_of_the_last_day(tmp_path: Path) -> None:
    rows = np.arange(301 * COLUMNS, dtype=np.int32).reshape(301, COLUMNS)
    rows.tofile(tmp_path / BINARY)
    (tmp_path / "days").mkdir()
    dlrm.write_days(open_criteo(tmp_path), tmp_path / "days")
    with np.load(tmp_path / "days" / "day_23_reordered.npz") as day:
        assert np.array_equal(day["y"][:301], rows[:, 0])
        assert np.array_equal(day["X_int"][:301], rows[:, 1 : 1 + DENSE])
        assert np.array_equal(day["X_cat"][:301], rows[:, 1 + DENSE :])
        assert len(day["y"]) == 602
    with np.load(tmp_path / "days" / "day_day_count.npz") as counts:
        assert counts["total_per_file"].tolist() == [0] * 23 + [602]


def test_a_batch_is_as_large_as_shared_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlrm, "cores", lambda: 2)
    assert 1 <= dlrm.fitting_batch() <= dlrm.LARGEST_BATCH
    monkeypatch.setattr(dlrm, "cores", lambda: 1 << 40)
    assert dlrm.fitting_batch() == 1
