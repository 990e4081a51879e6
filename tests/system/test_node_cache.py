"""The node's own cache: where it is, whose it is, and one process at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.errors import FolderError
from mlperf_docker.system import node_cache

WAIT = """
from mlperf_docker.system import node_cache
with node_cache.turn(lambda: print("waiting", flush=True), print):
    print("mine", flush=True)
"""


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLPERF_DOCKER_NODE_CACHE", str(tmp_path / "local"))
    monkeypatch.setenv("SLURMD_NODENAME", "n1")


def test_nodes_that_share_the_disk_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert node_cache.folder() == tmp_path / "local/n1"
    monkeypatch.setenv("SLURMD_NODENAME", "n2/..")
    assert node_cache.folder() == tmp_path / "local/n2-.."


def test_a_second_process_waits_and_says_so() -> None:
    argv = [sys.executable, "-c", WAIT]
    with node_cache.turn(lambda: pytest.fail("nobody had it"), print):
        running = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        assert running.stdout.readline() == "waiting\n"
        assert running.poll() is None
    assert running.communicate(timeout=60)[0] == "mine\n"


def test_another_node_does_not_wait() -> None:
    argv = [sys.executable, "-c", WAIT]
    with node_cache.turn(lambda: None, print):
        done = subprocess.run(
            argv, env={**os.environ, "SLURMD_NODENAME": "n2"}, capture_output=True, text=True, check=True, timeout=60
        )
    assert done.stdout == "mine\n"


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default place of a user that nobody is."""
    monkeypatch.delenv("MLPERF_DOCKER_NODE_CACHE")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    return Path("/var/tmp/mlperf-docker-4000000")  # nobody's


def test_a_link_in_its_place_is_refused(common: Path, tmp_path: Path) -> None:
    common.symlink_to(tmp_path)
    try:
        with pytest.raises(FolderError, match="is no folder of this user's") as caught:
            node_cache.folder()
    finally:
        common.unlink()
    assert "MLPERF_DOCKER_NODE_CACHE" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_user_in_its_place_is_refused(common: Path) -> None:
    common.mkdir()
    try:
        with pytest.raises(FolderError, match="is no folder of this user's"):
            node_cache.folder()
    finally:
        common.rmdir()


def test_the_folder_is_closed_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPERF_DOCKER_NODE_CACHE")
    assert stat.S_IMODE(node_cache.folder().parent.stat().st_mode) == 0o700
