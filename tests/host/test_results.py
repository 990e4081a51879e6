"""Result files, the claim on a results folder, and finding earlier runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker import results
from mlperf_docker.errors import UsageError
from mlperf_docker.text import result_line, result_text, table

FIELDS: dict[str, Any] = {
    "model": "resnet50",
    "backend": "onnxruntime",
    "device": "cpu",
    "precision": "fp32",
    "scenario": "Offline",
    "mode": "performance",
    "synthetic": True,
    "valid": True,
    "metric": {"name": "result_samples_per_second", "value": 123.456, "unit": "samples/s"},
    "latency_ns": {"mean": 1e6, "p50": 1e6, "p90": 2e6, "p99": 3e6},
    "samples": 64,
    "accuracy": None,
    "image": {"tag": "r/resnet50:onnxruntime-cpu-abc", "id": "sha256:0123456789abcdef", "base": "debian"},
    "versions": {"loadgen": "6.0.17"},
    "device_proof": {"provider": "CPUExecutionProvider"},
    "a key of tomorrow": [1],
}


def _result(**changes: Any) -> results.RunResult:
    return results.RunResult.model_validate({**FIELDS, **changes})


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    result = _result(results_dir=str(tmp_path), duration_s=1.5)
    results.write(result, tmp_path)
    assert results.read(tmp_path) == result
    assert json.loads((tmp_path / "result.json").read_text())["a key of tomorrow"] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_container_run_by_hand_is_listed_too(tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({key: FIELDS[key] for key in FIELDS if key != "image"}))
    (only,) = results.read_all(tmp_path)
    assert only.results_dir == str(folder)
    assert only.image is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "resnet50"}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "result.json").write_text(text)
    with pytest.raises(UsageError, match=r"result\.json is not a result"):
        results.read(folder)
    assert results.read_all(tmp_path) == []


def test_find_takes_last_a_name_or_a_folder(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        results.write(_result(results_dir=str(tmp_path / name)), tmp_path / name)
    assert results.find("last", tmp_path).results_dir.endswith("/2")
    assert results.find("1", tmp_path).results_dir.endswith("/1")
    assert results.find(str(tmp_path / "1"), Path("/nowhere")).results_dir.endswith("/1")
    with pytest.raises(UsageError, match="There is no result"):
        results.find("3", tmp_path)


def test_a_claim_is_exclusive_while_it_lasts(tmp_path: Path) -> None:
    with results.claim(tmp_path, "a") as folder:
        (folder / "log").touch()
        with pytest.raises(UsageError, match="in use by another run"), results.claim(tmp_path, "b"):
            pass
    with results.claim(tmp_path, "b") as empty:
        assert empty.parent == tmp_path
    assert folder.is_dir()
    assert not empty.exists(), "a run that wrote nothing leaves nothing"


def test_a_killed_run_holds_no_claim(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\nfrom mlperf_docker.results import claim\n"
        "with claim(pathlib.Path(sys.argv[1]), 'killed'): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with results.claim(tmp_path, "next"):
        pass


def test_a_missing_results_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"), results.claim(tmp_path / "no", "a"):
        pass
    assert not (tmp_path / "no").exists()


def test_texts_hold_the_figures() -> None:
    assert result_line(_result(results_dir="/r/one"))[0] == "one"
    assert "123.456 samples/s" in result_text(_result())
    accuracy = {"metric": "top1", "value": 87.5, "target": 87.5, "passed": True}
    text = result_text(_result(accuracy=accuracy, valid=False, reasons=["why not"]))
    assert "top1 87.5000 (target 87.5000)" in text
    assert "INVALID" in text
    assert "why not" in text


def test_table_columns_line_up() -> None:
    assert table(("a", "bb"), [("ccc", "d")]) == "a    bb\nccc  d"
