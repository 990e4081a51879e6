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


HOST: dict[str, Any] = {
    "processor": {"model": "Big CPU", "sockets": 2, "cores": 8, "threads": 16, "governor": "powersave",
                  "caches": [{"level": 3, "kind": "unified", "size_bytes": 33554432, "count": 2}]},
    "memory": {"size_bytes": 540672000000},
    "system": {"distribution": "Debian GNU/Linux 12 (bookworm)", "virtual": True, "hypervisor": "kvm"},
    "gpus": [{"name": "NVIDIA L4", "memory_bytes": 24152899584, "power_limit_w": 72.0, "driver": "580.95", "count": 2}],
    "engine": {"name": "Docker", "version": "27.1", "runtimes": ["runc"]},
}  # fmt: skip
ENERGY = {"source": "RAPL packages", "joules": 128.0, "seconds": 10.0, "watts": 12.8}

BETWEEN = {
    "metric": "FID", "value": 23.1, "unit": "", "sense": "between", "target": [23.0, 24.0], "passed": True,
    "reference": 23.5, "high_target": None, "high": None,
}  # fmt: skip
HIGH = {
    "metric": "F1", "value": 90.5, "unit": "%", "sense": "at least", "target": 89.96526, "passed": True,
    "reference": 90.874, "high_target": 90.783126, "high": False,
}  # fmt: skip
AT_MOST = {
    "metric": "WER", "value": 6.5, "unit": "%", "sense": "at most", "target": 6.2, "passed": False,
    "reference": 6.0, "high_target": None, "high": None,
}  # fmt: skip
SCORES = {**AT_MOST, "high": False, "scores": [BETWEEN, HIGH, AT_MOST]}
"""An accuracy of three scores, of which the last fails and decides."""


REFERENCE = {"name": "reference", "commit": "0" * 40, "changed": False}
"""The harness of a run of the reference implementation."""

COMPLIANCE = {
    "test": "TEST04", "passed": True, "reasons": [], "accuracy": None,
    "performance": {"reference": 100.0, "value": 95.0, "ratio": 0.95, "least": None, "most": 1.1},
}  # fmt: skip
ANSWERS = {
    "compared": 4096, "differing": 12, "first_element_differing": 9, "unknown": 0, "largest_difference": 2.4e-07,
    "path": "scores", "baseline": 90.1, "score": 90.2, "high": False,
}  # fmt: skip


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
