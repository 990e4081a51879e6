"""Fixtures of the harness: a synthetic set made once, the harness as a command, and recorded speech."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.backends.onnxruntime.backend import OnnxRuntime
from mlperf_docker.harness.models.opening import CpuAnswerer
from mlperf_docker.harness.models.resnet50.synthetic import synthesize
from tests.harness.process import Finished, Harness, command, finished


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny(cache: Path) -> SyntheticSet:
    return synthesize(
        SyntheticKind(SyntheticSize.TINY), cache, CpuAnswerer(OnnxRuntime(), 1), lambda done, total, unit: None
    )


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
