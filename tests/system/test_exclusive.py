"""Locks between processes: who holds a file is told without holding it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.system import exclusive

HOLDER = """
import sys
from pathlib import Path
from mlperf_docker.system import exclusive

with exclusive.file(Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""


def test_a_file_that_another_process_holds_is_told_and_stays_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not exclusive.is_held(path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert exclusive.is_held(path)
        with pytest.raises(BlockingIOError), exclusive.file(path):
            pass
        holder.communicate(b"\n", timeout=30)
    assert not exclusive.is_held(path)


def test_looking_whether_a_file_is_held_keeps_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not exclusive.is_held(path)
    with exclusive.file(path) as locked:
        assert locked
        assert exclusive.is_held(path)
