"""Podman as a runtime: its command, and a real rootless one of an ordinary user beside Docker's engine."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.devices import Device
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.container import run_container
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.errors import UsageError
from mlperf_docker.images.known_bases import Base
from mlperf_docker.runtimes.podman import PodmanFacts, PodmanRuntime, podman_argv
from mlperf_docker.system import owner
from tests.fixtures.docker_client import api
from tests.fixtures.engine import MARK, TEST_LABEL
from tests.fixtures.ordinary_user import OrdinaryUser

DELEGATED = PodmanFacts("5.0", rootless=True, controllers=frozenset({"pids", "memory", "cpu"}), keeps_groups=True)
NOTHING = PodmanFacts("4.3.1", rootless=True, controllers=frozenset(), keeps_groups=False)
PLAN = RunPlan(
    image="host.example/resnet50:tag",
    arguments=("run", "--samples=1"),
    mounts=(
        BindMount(Path("/srv/image net,1"), "/data", read_only=True),
        BindMount(Path("/srv/results"), "/results", read_only=False),
    ),
    surroundings=ContainerUser("1001:1002", groups=(27,), userns="keep-id", processes=4352, tmp_bytes=2**30),
    limits=Limits(memory="8g"),
)
RM = 'podman ps --all --quiet --filter "label=org.mlperf-docker=container"'


def test_a_plan_as_the_podman_run_of_a_user() -> None:
    assert podman_argv(PLAN, DELEGATED) == [
        "podman",
        "run",
        "--rm",
        "--init",
        "--pull=never",
        "--log-driver=none",
        "--user=1001:1002",
        "--group-add=keep-groups",
        "--userns=keep-id",
        "--pids-limit=4352",
        "--network=none",
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=1073741824",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--http-proxy=false",
        "--label=org.mlperf-docker=container",
        "--memory=8g",
        '--mount=type=bind,"src=/srv/image net,1",dst=/data,readonly',
        "--mount=type=bind,src=/srv/results,dst=/results",
        "host.example/resnet50:tag",
        "run",
        "--samples=1",
    ]


def test_a_podman_run_by_the_tool_has_a_name_an_owner_and_a_lifeline() -> None:
    more = set(podman_argv(PLAN, DELEGATED, "a-name")) - set(podman_argv(PLAN, DELEGATED))
    label = f"--label=org.mlperf-docker.owner={owner.current()}"
    assert more == {"--interactive", "--name=a-name", label, "--env=MLPERF_END_WITH_STDIN=1"}


def test_podman_is_told_no_limit_and_no_groups_that_it_cannot_give() -> None:
    words = podman_argv(replace(PLAN, limits=Limits()), NOTHING)
    assert not [word for word in words if word.startswith(("--pids-limit", "--group-add", "--memory"))]


def test_podman_as_root_gives_groups_by_their_numbers() -> None:
    root = replace(DELEGATED, rootless=False, keeps_groups=False)
    assert "--group-add=27" in podman_argv(replace(PLAN, surroundings=ContainerUser("0:0", groups=(27,))), root)


@pytest.mark.parametrize(
    ("gpus", "devices"),
    [("all", ["all"]), ("2", ["0", "1"]), ("device=1,GPU-3", ["1", "GPU-3"]), (None, [])],
)
def test_podman_is_asked_for_gpus_by_their_names_in_cdi(gpus: str | None, devices: list[str]) -> None:
    words = podman_argv(replace(PLAN, limits=Limits(gpus=gpus)), DELEGATED)
    assert [word for word in words if "gpu" in word] == [f"--device=nvidia.com/gpu={each}" for each in devices]


@pytest.mark.parametrize(("version", "usable"), [("v2", {"pids", "memory"}), ("v1", set())])
def test_a_user_of_podman_has_the_controllers_of_cgroups_version_2(version: str, usable: set[str]) -> None:
    host = {
        "security": {"rootless": True},
        "cgroupVersion": version,
        "cgroupControllers": ["pids", "memory"],
        "ociRuntime": {"name": "crun"},
    }
    facts = PodmanFacts.read({"host": host, "version": {"Version": "4.9"}})
    assert facts == PodmanFacts("4.9", rootless=True, controllers=frozenset(usable), keeps_groups=True)


def test_a_limit_that_podman_cannot_set_is_refused_and_the_others_are_named() -> None:
    runtime = PodmanRuntime()
    vars(runtime)["facts"] = NOTHING
    with pytest.raises(UsageError, match="cannot set --memory and --cpuset for this user"):
        runtime.require(Device.CPU, Limits(memory="1g", cpuset="0"))
    runtime.require(Device.CPU, Limits())
    assert len(runtime.unconfined) == 4
    full = PodmanRuntime()
    vars(full)["facts"] = replace(DELEGATED, controllers=frozenset({"pids", "memory", "cpu", "cpuset"}))
    full.require(Device.CPU, Limits(memory="1g", cpuset="0"))
    assert not full.unconfined


PROBE = r"""
echo "user $(id -u):$(id -g)"
sed -n 's/^\(Cap...\|NoNewPrivs\|Seccomp\):/\1/p' /proc/self/status
echo "network" $(ls /sys/class/net)
while read -r _ _ _ _ place options _; do
    case $place in /|/data|/results) echo "$place ${options%%,*}";; /tmp) echo "$place $options";; esac
done < /proc/self/mountinfo
echo "size of /tmp $(df --output=size /tmp | tail -n 1)"
for folder in "" /run /var/tmp /etc /dev /data /tmp /results; do
    if (: > "$folder/probe") 2>/dev/null; then echo "writes to $folder"; fi
done
echo "host's variables: $HTTP_PROXY$http_proxy$A_SECRET"
test "$(cat /proc/1/comm)" = sh || echo "has an init"
echo ready
cat
"""
"""Facts of its confinement as a process in the container sees them; then it waits for the end of its stdin."""


def confinement(told: dict[str, Any]) -> dict[str, Any]:
    """What `inspect` tells of a container's confinement, in one form for docker and podman."""
    host, config = told["HostConfig"], told["Config"]
    return {
        "user": config["User"],
        "root is read only": host["ReadonlyRootfs"],
        "network": host["NetworkMode"],
        "privileged": host["Privileged"],
        "no new privileges": "no-new-privileges" in " ".join(host["SecurityOpt"]),
        "tmpfs": {place: re.findall(r"size=\d+", options) for place, options in host["Tmpfs"].items()},
        "mounts": sorted([each["Source"], each["Destination"], each["RW"]] for each in told["Mounts"]),
        "devices": host["Devices"] or [],
        "removed at its end": host["AutoRemove"],
        "first process": bool(host["Init"]),
        "pid mode": host["PidMode"] or "private",
        "limit of processes": host["PidsLimit"] or 0,
        "limit of memory": host["Memory"],
        "limit of processors": host["NanoCpus"],
        "limit to certain processors": host["CpusetCpus"],
    }


_AS_USER = """
import json, subprocess, sys
from pathlib import Path
from mlperf_docker.engine.plan import BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.runtimes.podman import PodmanRuntime
from mlperf_docker.runtimes.podman_store import PodmanStore
runtime = PodmanRuntime()
def plan(image, *arguments, mounts=(), limits=Limits(), labels=()):
    return RunPlan(image, arguments, mounts, runtime.user(), limits, labels)
"""


@pytest.fixture(scope="module")
def user_with_image(ordinary_user: OrdinaryUser, engine: DockerEngine, base_image: Base) -> OrdinaryUser:
    """The user, with the base image in his podman."""
    archive = ordinary_user.home / "base.tar"
    subprocess.run(["docker", "save", "--output", archive, base_image.reference], check=True, timeout=300)
    archive.chmod(0o644)
    ordinary_user.run("podman", "load", "--quiet", "--input", str(archive))
    archive.unlink()
    return ordinary_user


@pytest.mark.engine
def test_confinement_in_rootless_podman_is_dockers_or_named(
    user_with_image: OrdinaryUser, clean: DockerEngine, base_image: Base, tmp_path: Path
) -> None:
    """Fact by fact: as `inspect` tells of a running container, and as a process in it sees."""
    user, image = user_with_image, base_image.reference
    limits = Limits(memory="512m", cpus=1.0, cpuset="0")
    folders = [user.home / "data", user.home / "out"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        os.chown(folder, user.uid, user.gid)
    mounts = (BindMount(folders[0], "/data", read_only=True), BindMount(folders[1], "/results", read_only=False))
    asked = user.answers(_AS_USER + "import dataclasses; print(json.dumps(dataclasses.asdict(runtime.user())))")
    who = ContainerUser(asked["user"], processes=asked["processes"], tmp_bytes=asked["tmp_bytes"])
    plan = RunPlan(image, ("sh", "-c", PROBE), mounts, who, limits, ((TEST_LABEL, MARK),))
    seen: list[str] = []
    told: list[dict[str, Any]] = []

    def hear(line: str) -> None:
        if line != "ready":
            seen.append(line)
            return
        (made,) = api(clean).containers(filters={"label": f"{TEST_LABEL}={MARK}"})
        told.append(api(clean).inspect_container(made["Id"]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_container(clean, plan, on_stdout=hear, on_stderr=print)
    (folders[1] / "probe").unlink()
    in_podman = user.answers(
        _AS_USER
        + f"data, out = Path({str(folders[0])!r}), Path({str(folders[1])!r})\n"
        + "mounts = (BindMount(data, '/data', read_only=True), BindMount(out, '/results', read_only=False))\n"
        + f"made = plan({image!r}, 'sh', '-c', {PROBE!r}, mounts=mounts)\n"
        + "found = {'unconfined': runtime.unconfined, 'seen': []}\n"
        + "def hear(line):\n"
        + "    if line != 'ready':\n"
        + "        found['seen'].append(line)\n"
        + "        return\n"
        + f"    name = subprocess.check_output({RM!r}, shell=True, text=True).strip()\n"
        + "    found['told'] = json.loads(subprocess.check_output(['podman', 'inspect', name]))[0]\n"
        + "    raise KeyboardInterrupt\n"
        + "try:\n"
        + "    runtime.run(made, on_stdout=hear, on_stderr=lambda line: print(line, file=sys.stderr))\n"
        + "except KeyboardInterrupt:\n"
        + "    pass\n"
        + f"found['left'] = subprocess.check_output({RM!r}, shell=True, text=True)\n"
        + "print(json.dumps(found))\n"
    )
    assert sorted(in_podman["seen"]) == sorted(seen)
    assert in_podman["left"] == ""
    dockers, podmans = confinement(told[0]), confinement(in_podman["told"])
    different = {name for name in dockers if dockers[name] != podmans[name]}
    named = {name for name in dockers if any(name in each.lower() for each in in_podman["unconfined"])}
    assert different == named
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in folders[1].iterdir()}
    assert owners == {(user.uid, user.gid)}


def _left(user: OrdinaryUser) -> str:
    return user.run("sh", "-c", RM).strip()


@contextmanager
def _started(user: OrdinaryUser, image: str, script: str) -> Iterator[subprocess.Popen[str]]:
    """A tool of the user's that runs *script* in a container, whose first line was "ready"."""
    tool = user.start(
        user.python,
        "-c",
        _AS_USER
        + "from mlperf_docker.system import signals; signals.heed()\n"
        + "print(json.dumps('pid'), __import__('os').getpid(), flush=True)\n"
        + f"made = plan({image!r}, 'sh', '-c', {script!r})\n"
        + "show = lambda line: print(line, flush=True)\n"
        + "print(runtime.run(made, on_stdout=show, on_stderr=show))\n",
    )
    with tool:
        try:
            yield tool
        finally:
            tool.kill()


def _told(tool: subprocess.Popen[str]) -> int:
    """The tool's own process, once its container is at work."""
    assert tool.stdout is not None
    pid = int(tool.stdout.readline().split()[1])
    assert tool.stdout.readline() == "ready\n"
    return pid


@pytest.mark.engine
def test_a_tool_that_is_killed_leaves_no_container_in_podman(user_with_image: OrdinaryUser, base_image: Base) -> None:
    """Its stdin ends with the tool, and what reads it, as the harness does."""
    with _started(user_with_image, base_image.reference, "echo ready; cat") as tool:
        os.kill(_told(tool), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (left := _left(user_with_image)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == ""


@pytest.mark.engine
def test_a_container_in_podman_that_outlives_its_tool_is_removed_by_the_next(
    user_with_image: OrdinaryUser, base_image: Base
) -> None:
    with _started(user_with_image, base_image.reference, "echo ready; sleep 60") as tool:
        pid = _told(tool)
        alive = user_with_image.answers(_AS_USER + "said = []; runtime.tidy(said.append); print(json.dumps(said))")
        assert (alive, bool(_left(user_with_image))) == ([], True)
        os.kill(pid, signal.SIGKILL)
    said = user_with_image.answers(_AS_USER + "said = []; runtime.tidy(said.append); print(json.dumps(said))")
    assert [line for line in said if "the tool that started it was killed" in line] == said != []
    assert _left(user_with_image) == ""


@pytest.mark.engine
@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("echo ready; exit 7", "ContainerExit(code=7, out_of_memory=False, signal=None)"),
        ("echo ready; kill -9 $$", "ContainerExit(code=137, out_of_memory=False, signal=9)"),
        ("trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done", None),
    ],
    ids=["exit code", "killed", "interrupted"],
)
def test_the_end_of_a_container_in_podman_is_told(
    user_with_image: OrdinaryUser, base_image: Base, script: str, ending: str | None
) -> None:
    with _started(user_with_image, base_image.reference, script) as tool:
        pid = _told(tool)
        if ending is None:
            os.kill(pid, signal.SIGTERM)
        out, err = tool.communicate(timeout=60)
    assert (ending or "") in out
    assert ("KeyboardInterrupt" in err) is (ending is None)
    assert _left(user_with_image) == ""
