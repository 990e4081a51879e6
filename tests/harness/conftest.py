"""A synthetic set made once, and the harness as a command."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.harness.backends.onnxruntime import OnnxRuntime
from mlperf_docker.harness.models.base import SyntheticSet
from mlperf_docker.harness.models.resnet50.synthetic import synthesize
from mlperf_docker.harness.names import SyntheticSize
from mlperf_docker.harness.opening import CpuAnswerer

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finished:
    code: int
    events: list[dict[str, Any]]
    stderr: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        assert self.of("result"), (self.events, self.stderr)
        return self.of("result")[-1]

    @property
    def error(self) -> dict[str, Any]:
        (error,) = self.of("error")
        return error


Harness = Callable[..., Finished]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLPERF_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mlperf_docker.harness", *map(str, arguments)]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny(cache: Path) -> SyntheticSet:
    return synthesize(SyntheticSize.TINY, cache, CpuAnswerer(OnnxRuntime(), 1), lambda done, total, unit: None)


@pytest.fixture
def harness(cache: Path, tiny: SyntheticSet, tmp_path: Path) -> Harness:
    """Run `python -m mlperf_docker.harness run …` for resnet50 on onnxruntime unless told otherwise."""
    results = tmp_path / "results"
    results.mkdir()

    def run(*arguments: object, backend: str = "onnxruntime", verb: str = "run") -> Finished:
        wanted = {"run": ["--cache", cache, "--results", results], "synthesize": ["--cache", cache]}
        wanted |= {"preprocess": ["--cache", cache], "outputs": ["--cache", cache]}
        folders = wanted.get(verb, [])
        line = command(verb, "--model", "resnet50", "--backend", backend, *folders, *arguments)
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=environment(), cwd=tmp_path)
        return Finished(done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr)

    return run
