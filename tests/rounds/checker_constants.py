"""Prints the constants of an official submission checker, for one round, as JSON. Run as a program, by the comparison.

Arguments: the module with the constants, and the round. Fields whose name begins with `_` are not the round's own.
"""

import importlib.util
import json
import logging
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

SUITES = ("edge", "datacenter", "datacenter-edge")


def read(module: ModuleType, version: str) -> dict[str, Any]:
    """The constants of a round."""
    own = module.MODEL_CONFIG[version]
    return {
        "models": own["models"],
        "aliases": own["model_mapping"],
        "required": {suite: own[f"required-scenarios-{suite}"] for suite in SUITES},
        "optional": {suite: own[f"optional-scenarios-{suite}"] for suite in SUITES},
        "targets": own["accuracy-target"],
        "performance_sample_count": own["performance-sample-count"],
        "dataset_size": own.get("dataset-size"),
        "offline_min_samples": module.OFFLINE_MIN_SPQ_SINCE_V4,
        "latency_ns": own["latency-constraint"],
        "seeds": own["seeds"],
        "test05_seeds": own.get("test05_seeds"),
        "tests": _tests(module, version),
        "min_duration_ms": module.TEST_DURATION_MS,
        "accuracy_log_limit_bytes": module.MAX_ACCURACY_LOG_SIZE,
        "system_keys": [*module.SYSTEM_DESC_REQUIRED_FIELDS, *_later_keys(module)],
        "filled_system_keys": module.SYSTEM_DESC_MEANINGFUL_RESPONSE_REQUIRED_FIELDS,
        "measurement_keys": module.SYSTEM_IMP_REQUIRED_FILES,
        "configuration_files": module.REQUIRED_MEASURE_FILES,
        "folders": _folders(module, version),
    }


def _later_keys(module: ModuleType) -> list[str]:
    names = ("SYSTEM_DESC_REQUIRED_FIELDS_SINCE_V1", "SYSTEM_DESC_REQUIRED_FIELDS_SINCE_V3_1")
    return [key for name in names for key in getattr(module, name, [])]


def _folders(module: ModuleType, version: str) -> dict[str, str] | None:
    """Where files belong; None for checkers that have no constants for it."""
    names = {"source": "SRC_PATH", "measurements": "MEASUREMENTS_PATH", "compliance": "COMPLIANCE_PATH"}
    if not hasattr(module, "SRC_PATH"):
        return None
    return {key: getattr(module, name)[version] for key, name in names.items()}


def _tests(module: ModuleType, version: str) -> dict[str, list[str]]:
    """Benchmark → its compliance tests: of constants, or as an old checker misses them in an empty folder."""
    own, known = module.MODEL_CONFIG[version], module.MODEL_CONFIG[version]["models"]
    lists = {key.removeprefix("models_"): names for key, names in own.items() if key.startswith("models_TEST")}
    if lists:
        return {name: sorted(test for test, names in lists.items() if name in names) for name in own["dataset-size"]}
    return {name: _missed(module, version, name) for name in known}


def _missed(module: ModuleType, version: str, benchmark: str) -> list[str]:
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(str(record.args[0]))  # type: ignore[method-assign, index]
    logging.getLogger("main").handlers = [handler]
    logging.getLogger("main").propagate = False
    with tempfile.TemporaryDirectory() as empty:
        module.check_compliance_dir(empty, benchmark, "Offline", module.Config(version, {}), "closed", {}, benchmark)
    return sorted({each for each in found if each.startswith("TEST")})


def load(path: Path) -> ModuleType:
    """Import the file *path*."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("checker", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    print(json.dumps(read(load(Path(sys.argv[1])), sys.argv[2])))  # noqa: T201
