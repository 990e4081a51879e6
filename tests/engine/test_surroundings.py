"""User and bounds of a container, derived from the engine's description of itself and from the caller."""

import os
import subprocess
import sys

import pytest

from mlperf_docker.engine.surroundings import surroundings

GIB = 2**30


@pytest.mark.parametrize(
    ("options", "user", "userns"),
    [
        (["name=seccomp,profile=default"], f"{os.getuid()}:{os.getgid()}", None),
        (["name=seccomp,profile=default", "name=userns"], f"{os.getuid()}:{os.getgid()}", "host"),
        (["name=rootless", "name=cgroupns"], "0:0", None),
        (None, f"{os.getuid()}:{os.getgid()}", None),
    ],
)
def test_a_container_runs_as_the_caller_unless_the_engine_is_rootless(
    options: list[str] | None, user: str, userns: str | None
) -> None:
    found = surroundings({"SecurityOptions": options})
    assert (found.user, found.userns) == (user, userns)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be in any group")
def test_the_groups_are_those_of_the_caller_without_the_first() -> None:
    script = "from mlperf_docker.engine.surroundings import surroundings as s; print(s({}).groups)"
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, group=7, extra_groups=[44, 7, 12399])
    assert done.stdout == "(44, 12399)\n"


def test_the_bounds_grow_with_the_host() -> None:
    small, large = surroundings({"NCPU": 2, "MemTotal": 2 * GIB}), surroundings({"NCPU": 256, "MemTotal": 999 * GIB})
    assert (small.processes, small.tmp_bytes) == (4352, GIB)
    assert large.processes > 2 * 256 * 64, "a worker a processor, each with threads as BLAS has them"
    assert large.tmp_bytes == 4 * GIB
    unknown = surroundings({})
    assert unknown.processes > 4096
    assert unknown.tmp_bytes == 4 * GIB
