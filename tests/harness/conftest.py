"""A synthetic set made once, the harness as a command, and recorded speech."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.names import SyntheticSize
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.backends.onnxruntime import OnnxRuntime
from mlperf_docker.harness.models.opening import CpuAnswerer
from mlperf_docker.harness.models.resnet50.synthetic import synthesize

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
        return finished(command(verb, "--model", "resnet50", "--backend", backend, *folders, *arguments), tmp_path)

    return run


PROMPTS = Path("usr/share/sounds/alsa")
"""Somebody names loudspeakers, 1.4 s each, at 48 kHz; in Debian's alsa-utils."""


@pytest.fixture(scope="session")
def speech(pytestconfig: pytest.Config) -> dict[str, NDArray[np.int16]]:
    """Recorded speech at 16 kHz. Skips where Debian's package cannot be had, and fails instead where CI=true."""
    import soundfile
    from scipy import signal

    found = {}
    for path in sorted(prompts(pytestconfig).glob("*_*.wav")):
        sound, rate = soundfile.read(path)
        assert rate == 48_000
        sound = np.rint(signal.resample_poly(sound, 1, 3) * 32768).clip(-32768, 32767)
        found[path.stem] = sound.astype(np.int16)
    assert len(found) == 8
    return found


def prompts(pytestconfig: pytest.Config) -> Path:
    """The folder of the recordings: installed, or unpacked from the package into pytest's cache, without root."""
    if (Path("/") / PROMPTS).is_dir():
        return Path("/") / PROMPTS
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("alsa-utils")
    if not (folder / PROMPTS).is_dir():
        fetched = apt_get("download", "alsa-utils", cwd=folder)
        if not fetched and os.geteuid() == 0:
            fetched = apt_get("update", cwd=folder) and apt_get("download", "alsa-utils", cwd=folder)
        if not fetched:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("apt-get cannot fetch alsa-utils")
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg", "-x", package.name, "."], check=True, timeout=60, cwd=folder)
        package.unlink()
    return folder / PROMPTS


def apt_get(*arguments: str, cwd: Path) -> bool:
    if shutil.which("apt-get") is None:
        return False
    return not subprocess.run(["apt-get", *arguments], capture_output=True, timeout=180, cwd=cwd).returncode
