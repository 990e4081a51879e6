"""nvidia-smi as a program: asked with a time limit, and never trusted to be there or to work."""

from pathlib import Path

import pytest

from mlperf_docker.host import gpus


def put(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make *script* the nvidia-smi in PATH."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_nvidia_smi_is_asked_for_names_memory_power_and_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 'echo "$@"', monkeypatch)
    assert gpus.ask() == ("--query-gpu=name,memory.total,power.limit,driver_version --format=csv,noheader,nounits\n")


@pytest.mark.parametrize("script", ["echo no driver; exit 9", "kill -9 $$", "printf '\\377\\376'", "exec sleep 60"])
def test_nvidia_smi_that_fails_or_hangs_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    put(tmp_path, script, monkeypatch)
    monkeypatch.setattr(gpus, "_TIMEOUT_S", 0.5)
    assert gpus.ask() is None


def test_a_host_without_nvidia_smi_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.ask() is None
