"""Whole runs of DLRM through `python -m mlperf_docker.harness`, on every backend."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.harness.models.dlrm import aggregation
from mlperf_docker.harness.models.dlrm.dataset import BINARY, open_criteo
from mlperf_docker.harness.weights import safetensors
from mlperf_docker.recipe import render
from tests.harness.installed import BACKENDS
from tests.harness.process import Finished, command, environment, of_model
from tests.tries import in_time


def harness(cache: Path, tmp_path: Path, verb: str, *given: object, backend: str = "pytorch") -> Finished:
    """Run a command with the cell.json of an image, which declares the options of the model."""
    spec = find(Catalog.load(), "dlrm")
    cell = tmp_path / "cell.json"
    cell.write_text(render.cell(spec).to_json())
    return of_model("dlrm", cache, tmp_path, verb, "--cell", cell, *given, backend=backend)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dlrm")


def run(cache: Path, tmp_path: Path, *arguments: object, backend: str = "pytorch") -> Finished:
    return harness(cache, tmp_path, "run", "--synthetic", "tiny", *arguments, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dlrms_auc_reaches_the_known_value_on_every_backend(shared: Path, tmp_path: Path, backend: str) -> None:
    done = run(shared, tmp_path, "--mode", "accuracy", backend=backend)
    accuracy = done.result["accuracy"]
    assert (done.code, accuracy["metric"], accuracy["passed"]) == (0, "AUC", True), done
    assert 75 < accuracy["value"] < 90
    # Independently of our own scoring and of the synthetic set's facts.
    dataset = open_criteo(next(shared.glob("synthetic/dlrm-tiny-*/data")))
    entries = json.loads((tmp_path / "results/mlperf_log_accuracy.json").read_text())
    pairs = {each["qsl_idx"]: np.frombuffer(bytes.fromhex(each["data"]), np.float32) for each in entries}
    assert sorted(pairs) == list(range(64))
    whole = np.concatenate([pairs[number] for number in range(64)]).reshape(-1, 2)
    np.testing.assert_array_equal(whole[:, 1], dataset.labels)
    assert accuracy["value"] == pytest.approx(100 * roc_auc_score(dataset.labels, whole[:, 0]), abs=1e-9)
    assert done.of("notice")[0]["message"].startswith("tables: ")


def test_performance_settings_are_those_of_dlrm(shared: Path, tmp_path: Path) -> None:
    load = ("--min-duration", 1, "--batch-size", 8)
    done = in_time(lambda: run(shared, tmp_path, "--scenario", "Server", "--target-qps", 500, *load), Finished.valid)
    assert (done.code, done.result["reasons"]) == (0, [])
    assert done.result["settings"]["target_latency_ns"] == 60_000_000
    detail = (tmp_path / "results/mlperf_log_detail.txt").read_text()
    asked = [json.loads(line.removeprefix(":::MLLOG ")) for line in detail.splitlines()]
    found = {entry["key"]: entry["value"] for entry in asked}
    assert found["effective_performance_sample_count"] == 64
    assert found["effective_target_latency_ns"] == 60_000_000
    assert done.result["device_proof"]["operators"]


def test_an_official_offline_run_asks_for_24576_samples(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.conf").write_text("dlrm.Offline.min_duration = 100\ndlrm.Offline.max_query_count = 1\n")
    run(shared, tmp_path, "--user-conf", tmp_path / "mine.conf", backend="dummy")
    text = (tmp_path / "results/user.conf").read_text()
    assert "dlrm.Offline.min_query_count = 24576\n" in text


def test_the_bound_of_another_round(shared: Path, tmp_path: Path) -> None:
    load = ("--scenario", "Server", "--target-latency", 30, "--target-qps", 500, "--min-duration", 1)
    assert run(shared, tmp_path, *load).result["settings"]["target_latency_ns"] == 30_000_000
    done = run(shared, tmp_path, "--target-latency", 30)
    assert done.code == 2
    assert "--target-latency is for Server" in done.error["message"]


def test_shorter_tables(shared: Path, tmp_path: Path) -> None:
    done = run(shared, tmp_path, "--mode", "accuracy", "--max-ind-range", 100)
    assert (done.code, done.result["accuracy"]["passed"]) == (0, True)
    assert next(shared.glob("synthetic/dlrm-tiny-100-*")).is_dir()


def test_half_of_the_memory(shared: Path, tmp_path: Path) -> None:
    folder = next(shared.glob("synthetic/dlrm-tiny-1000-*"))
    half = tmp_path / "half.safetensors"
    done = harness(
        shared,
        tmp_path,
        "convert",
        "--model-file",
        folder / "weights.safetensors",
        "--output",
        half,
        "--tables",
        "fp16",
    )
    assert done.code == 0, done
    found = safetensors.read(half)
    assert str(found["emb_l.0.weight"].dtype) == "float16"
    assert str(found["top_l.0.weight"].dtype) == "float32"
    done = run(shared, tmp_path, "--mode", "accuracy", "--model-file", half)
    assert abs(done.result["accuracy"]["value"] - done.result["accuracy"]["target"]) < 0.1
    done = harness(
        shared, tmp_path, "convert", "--model-file", half, "--output", tmp_path / "m.onnx", backend="onnxruntime"
    )
    assert done.code == 2
    assert "stay outside of every graph" in done.error["message"]


def test_outputs_of_dlrms_backends_agree(shared: Path, tmp_path: Path) -> None:
    files = []
    for backend in BACKENDS:
        files.append(tmp_path / f"{backend}.safetensors")
        done = harness(shared, tmp_path, "outputs", "--samples", 6, "--output", files[-1], backend=backend)
        assert done.result["samples"] == 6
        assert len(safetensors.read(files[-1])["pred"]) == aggregation.offsets(10**5)[6]
    line = command("parity", "--model", "dlrm", "--backend", "pytorch", *files)
    said = subprocess.run(line, capture_output=True, text=True, timeout=60, env=environment(), cwd=tmp_path, check=True)
    found = json.loads(said.stdout.splitlines()[-1])
    assert found["largest_difference"] <= 1e-5
    assert found["agreement"] == 1


def test_ids_beyond_the_tables_end_with_the_data_sets_code(shared: Path, tmp_path: Path) -> None:
    folder = next(shared.glob("synthetic/dlrm-tiny-1000-*"))
    rows = np.fromfile(folder / "data" / BINARY, "<i4").reshape(-1, 40)
    rows[5, 14 + 5] = 3
    (tmp_path / "data").mkdir()
    rows.tofile(tmp_path / "data" / BINARY)
    given = ("--data", tmp_path / "data", "--model-file", folder / "weights.safetensors")
    done = harness(shared, tmp_path, "run", *given)
    assert done.code == 6
    assert done.error["details"] == ["category 5 has id 3; its table has 3 rows"]
    done = harness(shared, tmp_path, "run", *given, "--max-ind-range", 1, "--min-duration", 0.1)
    assert done.result["synthetic"] is False
