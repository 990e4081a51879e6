"""File systems that are full, cannot be written, or have no locks: one error, or a notice and a run that goes on."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from mlperf_docker.harness.api.scores import SyntheticSet
from tests.harness.process import ROOT, Finished, Harness, command, finished

CELL = ("--model", "resnet50", "--backend", "onnxruntime", "--device", "cpu")
NO_FLOCK = """
import errno, fcntl, os

def flock(descriptor, operation):
    raise OSError(errno.{name}, os.strerror(errno.{name}))

fcntl.flock = flock
"""


def small_disk(tmp_path: Path, name: str, kilobytes: int, *arguments: object, before: str = "true") -> Finished:
    """Run a command of the harness in a mount namespace where the folder *name* is a file system of so many KB."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={kilobytes}k none '{folder}' && {before} && exec \"$@\""
    line = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if subprocess.run([*line, "true"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("no file system can be mounted here, not even in a namespace of one's own")
    return finished([*line, *command(*arguments)], tmp_path)


def run_in(tmp_path: Path, cache: Path, results: Path) -> tuple[object, ...]:
    for folder in (cache, results):
        folder.mkdir(exist_ok=True)
    return ("run", *CELL, "--synthetic", "tiny", "--mode", "accuracy", "--cache", cache, "--results", results)


@pytest.mark.parametrize("kilobytes", [8, 300, 1200, 3000, 9000])
def test_a_full_disk_under_the_cache(tmp_path: Path, kilobytes: int) -> None:
    """Full while pictures, weights, or preprocessed samples are written."""
    cache = tmp_path / "cache"
    done = small_disk(tmp_path, "cache", kilobytes, *run_in(tmp_path, cache, tmp_path / "results"))
    assert (done.code, done.error["exit_code"]) == (2, 2), done
    assert done.error["message"].startswith(f"no space left in {cache}")
    assert "XDG_CACHE_HOME" in done.error["hint"]


@pytest.mark.parametrize("verb", ["preprocess", "synthesize"])
def test_a_full_disk_when_the_cache_is_filled_ahead(tmp_path: Path, tiny: SyntheticSet, verb: str) -> None:
    data = ("--data", tiny.data) if verb == "preprocess" else ()
    done = small_disk(tmp_path, "cache", 500, verb, *CELL, *data, "--cache", tmp_path / "cache")
    assert done.code == 2, done
    assert done.error["message"].startswith(f"no space left in {tmp_path / 'cache'}")


def without_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Have every process find a file system without locks."""
    (tmp_path / "noflock").mkdir()
    (tmp_path / "noflock/sitecustomize.py").write_text(NO_FLOCK.format(name=name))
    monkeypatch.setattr(f"{finished.__module__}.ROOT", f"{tmp_path / 'noflock'}:{ROOT}")


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    without_locks(monkeypatch, tmp_path, name)
    cache, results = tmp_path / "cache", tmp_path / "results"
    line = run_in(tmp_path, cache, results)
    for _ in range(2):
        done = finished(command(*line), tmp_path)
        assert done.code == 0, done
        (notice,) = done.of("notice")
        assert notice["message"].startswith(f"The file system of {results} has no locks")
    assert not list(cache.rglob("*.partial"))


def test_a_results_folder_that_is_in_use(harness: Harness, tmp_path: Path) -> None:
    import fcntl

    descriptor = os.open(tmp_path / "results", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = harness("--synthetic", "tiny")
    finally:
        os.close(descriptor)
    assert done.code == 2
    assert "is in use by another run" in done.error["message"]


def test_a_read_only_cache_serves_what_it_has(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    line = run_in(tmp_path, cache, tmp_path / "results")
    first = finished(command(*line), tmp_path)
    assert first.code == 0, first
    shell = f"mount --bind '{cache}' '{cache}' && mount -o remount,bind,ro '{cache}' && exec \"$@\""
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", shell, "sh"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("no folder can be made read-only here")
    assert finished([*unshare, *command(*line)], tmp_path).code == 0
    shutil.rmtree(cache / "preprocessed")
    done = finished([*unshare, *command(*line)], tmp_path)
    assert done.code == 2
    assert done.error["message"] == f"cannot write to {cache}/preprocessed: Read-only file system"


@pytest.mark.parametrize("kilobytes", [4, 12, 40])
def test_a_full_disk_under_the_results(tmp_path: Path, cache: Path, kilobytes: int) -> None:
    """Full before the test, and while LoadGen or we write what it came to."""
    results = tmp_path / "results"
    done = small_disk(tmp_path, "results", kilobytes, *run_in(tmp_path, cache, results))
    assert done.code == 2, done
    assert done.error["message"] == f"no space left in {results}"
    assert "--results" in done.error["hint"]


def test_no_room_to_unpack_a_model(tmp_path: Path) -> None:
    """In the folder for temporary files, which may be small."""
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("m/saved_model.pb", bytes(200_000))
    line = ("inspect-model", "--model", "3d-unet", "--backend", "tensorflow", "--model-file", tmp_path / "model.zip")
    done = small_disk(tmp_path, "tmp", 100, *line, before="export TMPDIR=tmp")
    assert done.code == 2, done
    assert done.error["message"] == f"no space left in {tmp_path / 'tmp'}"
