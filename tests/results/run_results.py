"""Results as the harness writes them, for tests of what is done with results."""

from pathlib import Path
from typing import Any

from mlperf_docker.results import store, values

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


def run_result(**changes: Any) -> values.RunResult:
    return values.RunResult.model_validate({**FIELDS, **changes})


def write_run(root: Path, name: str, **changes: Any) -> values.RunResult:
    """Write a result into a folder of its own, as `run` does."""
    folder = root / name
    folder.mkdir()
    result = run_result(results_dir=str(folder), **changes)
    store.write(result, folder)
    return result


def write_damaged(root: Path, name: str, text: str = '{"model": "resnet50", "backend": "caffe"}') -> Path:
    """Write a result file that cannot be read: another version's, or half of one."""
    folder = root / name
    folder.mkdir()
    path = folder / store.RESULT_FILE
    path.write_text(text)
    return path
