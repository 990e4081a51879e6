"""Runtimes without a daemon: what they refuse, and Charliecloud for real, as an ordinary user."""

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.plan import Limits
from mlperf_docker.errors import EngineError, UsageError
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.daemonless import CommandRuntime
from tests.fixtures.ordinary_user import OrdinaryUser


def _installed(folder: Path, program: str) -> None:
    """Put a program into *folder* that tells a version."""
    path = folder / program
    path.write_text("#!/bin/sh\necho name version 1.2\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_runtime_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="apptainer is not installed"):
        CommandRuntime(RuntimeName.APPTAINER).require(Device.CPU, Limits())


def test_limits_that_a_runtime_cannot_set_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _installed(tmp_path, "enroot")
    runtime = CommandRuntime(RuntimeName.ENROOT)
    assert runtime.version() == "1.2"
    runtime.require(Device.CPU, Limits(cpuset="0"))
    with pytest.raises(UsageError, match="enroot cannot set --memory and --cpus"):
        runtime.require(Device.CPU, Limits(memory="1g", cpus=1.0))


def test_pyxis_is_a_plug_in_that_srun_may_lack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _installed(tmp_path, "srun")
    with pytest.raises(EngineError, match="the plug-in pyxis is not installed"):
        CommandRuntime(RuntimeName.PYXIS).require(Device.CPU, Limits())


_CODE = """
import json, sys
from pathlib import Path
from mlperf_docker.engine.plan import BindMount, RunPlan
from mlperf_docker.images.known_bases import Base
from mlperf_docker.names import RuntimeName
from mlperf_docker.runtimes.choice import runtime_of
home = Path(%(home)r)
runtime = runtime_of(RuntimeName.CHARLIECLOUD)
mounts = (
    BindMount(home / "in", "/performance-run", read_only=True),
    BindMount(home / "in/file", "/user.conf", read_only=True),
    BindMount(home / "out", "/results", read_only=False),
)
plan = RunPlan(str(home / "root"), ("-c", %(script)r), mounts, runtime.user(), entrypoint="/bin/sh")
lines = []
def hear(line):
    lines.append(line)
    print(line, flush=True)
ended = runtime.run(plan, on_stdout=hear, on_stderr=hear)
ending = [ended.code, ended.signal, ended.out_of_memory]
print(json.dumps({"lines": lines, "ended": ending, "version": runtime.version()}))
"""
_SCRIPT = r"""
echo "user $(id -u):$(id -g)"
sed -n 's/^\(CapEff\|NoNewPrivs\):/\1/p' /proc/self/status
(: > /probe) 2>/dev/null || echo "root is read only"
(: > /results/probe) && (: > /tmp/probe) && cat /user.conf
echo "routes:" $(sed 1d /proc/self/net/route)
echo "of the host: $HTTP_PROXY$A_SECRET, home $HOME"
"""


@pytest.fixture(scope="module")
def unpacked(ordinary_user: OrdinaryUser, engine: DockerEngine, base_image: Base) -> OrdinaryUser:
    """The user, with the base image unpacked in his folder, and files to mount."""
    home = ordinary_user.home
    for name in ("root", "in", "out"):
        (home / name).mkdir(exist_ok=True)
    (home / "in/file").write_text("mounted\n")
    made = subprocess.check_output(["docker", "create", base_image.reference, "true"], text=True, timeout=60).strip()
    try:
        export = subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", home / "root"], stdin=export.stdout, check=True, timeout=120)
        export.wait(timeout=60)
    finally:
        subprocess.run(["docker", "rm", made], check=True, capture_output=True, timeout=60)
    owner = f"{ordinary_user.uid}:{ordinary_user.gid}"
    subprocess.run(["chown", "-R", owner, home / "root", home / "in", home / "out"], check=True, timeout=120)
    return ordinary_user


@pytest.mark.engine
def test_a_container_of_charliecloud_is_the_callers_and_confined_as_far_as_it_says(unpacked: OrdinaryUser) -> None:
    told = unpacked.answers(_CODE % {"home": str(unpacked.home), "script": _SCRIPT})
    assert told["ended"] == [0, None, False]
    assert re.fullmatch(r"[\d.]+", told["version"])
    assert told["lines"] == [
        f"user {unpacked.uid}:{unpacked.gid}",
        f"CapEff\t{0:016x}",
        "NoNewPrivs\t1",
        "root is read only",
        "mounted",
        "routes:",
        "of the host: , home /tmp",
    ]
    assert (unpacked.home / "out/probe").stat().st_uid == unpacked.uid


@pytest.mark.engine
def test_the_end_of_a_container_of_charliecloud_is_told(unpacked: OrdinaryUser) -> None:
    ends = {"exit 7": [7, None, False], "kill -9 $$": [137, 9, False]}
    for script, ending in ends.items():
        assert unpacked.answers(_CODE % {"home": str(unpacked.home), "script": script})["ended"] == ending


@pytest.mark.engine
def test_a_tool_that_is_killed_leaves_no_process_of_charliecloud(unpacked: OrdinaryUser) -> None:
    """What reads its stdin, as the harness does, ends with the tool."""
    code = _CODE % {"home": str(unpacked.home), "script": "echo ready; cat; echo over > /results/over"}
    with unpacked.start(unpacked.python, "-c", code) as tool:
        assert tool.stdout is not None
        try:
            assert tool.stdout.readline() == "ready\n"
        finally:
            os.kill(tool.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not (unpacked.home / "out/over").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (unpacked.home / "out/over").exists()
