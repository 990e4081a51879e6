"""The harness as a command in a process of its own, and what it printed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
"""With a command: a run of a second may take a minute where others use the machine."""


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

    def valid(self) -> bool:
        return bool(self.result["valid"])

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


def finished(line: list[str], folder: Path) -> Finished:
    """Run a command in *folder* and read its events."""
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, env=environment(), cwd=folder)
    return Finished(done.returncode, [json.loads(text) for text in done.stdout.splitlines()], done.stderr)


def of_model(
    model: str,
    cache: Path,
    tmp_path: Path,
    verb: str,
    *arguments: object,
    backend: str = "pytorch",
) -> Finished:
    """Run a command of *model* with a cache, where it takes one, and with results in *tmp_path*."""
    (tmp_path / "results").mkdir(exist_ok=True)
    folders = ["--cache", cache] if verb not in ("convert", "parity") else []
    folders += ["--results", tmp_path / "results"] if verb == "run" else []
    return finished(command(verb, "--model", model, "--backend", backend, *folders, *arguments), tmp_path)
