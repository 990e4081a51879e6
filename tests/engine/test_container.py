"""Containers: confinement, output, end, and that nothing of them stays."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from docker import APIClient

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine, connect
from mlperf_docker.engine.container import OWNER_LABEL, ContainerExit, ending_of, remove_orphans, run_container
from mlperf_docker.engine.facts import facts
from mlperf_docker.engine.plan import CONTAINER_LABEL, BindMount, ContainerUser, Limits, RunPlan
from mlperf_docker.engine.surroundings import surroundings
from mlperf_docker.errors import ContainerError, DeviceError
from mlperf_docker.images.known_bases import Base
from mlperf_docker.maintenance.doctor import engine_checks
from mlperf_docker.system import owner
from tests.fixtures import tiny_image
from tests.fixtures.docker_client import api
from tests.fixtures.engine import MARK, TEST_LABEL, containers
from tests.fixtures.second_engine import second_engine

KILLED = 128 + signal.SIGKILL
Event = dict[str, object]


def event(action: str, **attributes: str) -> Event:
    return {"Type": "container", "Action": action, "Actor": {"ID": "1", "Attributes": attributes}}


START, DESTROY = event("start"), event("destroy")


@pytest.mark.parametrize(
    ("events", "ending"),
    [
        ([START, event("die", exitCode="0"), DESTROY], ContainerExit(0, out_of_memory=False, signal=None)),
        ([START, event("die", exitCode="7"), DESTROY], ContainerExit(7, out_of_memory=False, signal=None)),
        (
            [START, event("oom"), event("die", exitCode="137"), DESTROY],
            ContainerExit(KILLED, out_of_memory=True, signal=None),
        ),
        (
            [START, event("kill", signal="9"), event("die", exitCode="137"), DESTROY],
            ContainerExit(KILLED, out_of_memory=False, signal=9),
        ),
        (
            [START, event("kill"), event("die", exitCode="137"), event("remove")],
            ContainerExit(KILLED, out_of_memory=False, signal=None),
        ),
        (
            [START, event("die", exitCode="0"), event("unheard-of"), DESTROY, event("die", exitCode="5")],
            ContainerExit(0, out_of_memory=False, signal=None),
        ),
    ],
    ids=["ended", "failed", "oom", "killed", "killed on Podman", "nothing after its removal counts"],
)
def test_the_end_is_read_from_the_events(events: list[Event], ending: ContainerExit) -> None:
    assert ending_of(iter(events)) == ending


def test_events_that_break_off_tell_that_the_engine_is_gone() -> None:
    with pytest.raises(ContainerError, match="engine went away") as caught:
        ending_of(iter([START]))
    assert caught.value.exit_code is ExitCode.CONTAINER


@dataclasses.dataclass
class Shell:
    """Runs a shell script in a container as the tool runs the harness."""

    engine: DockerEngine
    image: str
    out: list[str] = dataclasses.field(default_factory=list)
    err: list[str] = dataclasses.field(default_factory=list)

    def plan(self, script: str, *mounts: BindMount, **limits: str) -> RunPlan:
        return RunPlan(
            image=self.image,
            arguments=("sh", "-c", script),
            mounts=mounts,
            surroundings=ContainerUser("12345:23456"),
            limits=Limits(memory=limits.get("memory", ""), gpus=limits.get("gpus", "")),
            labels=((TEST_LABEL, MARK),),
        )

    def __call__(self, plan: RunPlan, on_line: Callable[[str], None] = lambda _line: None) -> ContainerExit:
        def hear(line: str) -> None:
            self.out.append(line)
            on_line(line)

        return run_container(self.engine, plan, on_stdout=hear, on_stderr=self.err.append)


@pytest.fixture
def shell(clean: DockerEngine, base_image: Base) -> Shell:
    return Shell(clean, base_image.reference)


@pytest.mark.engine
def test_a_container_has_no_network_no_capabilities_and_a_read_only_root(shell: Shell, tmp_path: Path) -> None:
    ending = shell(
        shell.plan(
            "id -u; id -g; ls /sys/class/net; cat /proc/1/comm; sed -n 's/^\\(CapEff\\|CapBnd\\|NoNewPrivs\\):\\t//p' "
            "/proc/self/status; touch /var/tmp/x || echo read-only; touch /tmp/x && echo tmp; "
            "stat --file-system --format=%T /tmp"
        )
    )
    assert ending == ContainerExit(0, out_of_memory=False, signal=None)
    nothing = "0" * 16
    assert shell.out == ["12345", "23456", "lo", "docker-init", nothing, nothing, "1", "read-only", "tmp", "tmpfs"]
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_a_container_gets_no_proxy(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    proxies = {"httpProxy": "http://user:hunter2@127.0.0.1:3128", "noProxy": "*.test"}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))
    run_container(connect(), shell.plan("env"), on_stdout=shell.out.append, on_stderr=shell.err.append)
    assert any(line.startswith("PATH=") for line in shell.out)
    assert not [line for line in shell.out if "proxy" in line.lower()]


@pytest.mark.engine
def test_a_containers_processes_and_own_files_are_bounded(shell: Shell) -> None:
    bounded = ContainerUser("12345:23456", processes=20, tmp_bytes=1 << 20)
    script = "for i in $(seq 40); do sleep 5 & done; wait; echo all"
    assert shell(dataclasses.replace(shell.plan(script), surroundings=bounded)).code != 0
    assert "fork" in "".join(shell.err)
    shell.err.clear()
    assert shell(dataclasses.replace(shell.plan("head -c 2m /dev/zero > /tmp/much"), surroundings=bounded)).code != 0
    assert "No space left" in "".join(shell.err)


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to any group")
def test_the_callers_other_groups_are_the_containers_too(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("read\n")
    os.chown(tmp_path / "labels", 0, 12399)
    (tmp_path / "labels").chmod(0o640)
    plan = shell.plan("cat /data/labels", BindMount(tmp_path / "labels", "/data/labels", read_only=True))
    assert shell(plan).code == 1
    assert shell(dataclasses.replace(plan, surroundings=ContainerUser("12345:23456", groups=(44, 12399)))).code == 0
    assert shell.out == ["read"]


@pytest.mark.engine
def test_an_engine_that_maps_users(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The caller's folder is for the caller alone."""
    tmp_path.chmod(0o700)
    with second_engine(disk="64m", maps_users=True) as second:
        monkeypatch.setenv("DOCKER_HOST", second.socket)
        client = connect()
        api(client).import_image_from_data(tiny_image.archive(), repository="tiny", tag="1")
        shell = Shell(client, "tiny:1")
        plan = shell.plan("echo written > /results/file", BindMount(tmp_path, "/results", read_only=False))
        assert shell(dataclasses.replace(plan, surroundings=ContainerUser("0:0"))).code != 0, "the engine maps users"
        found = surroundings(client.info())
        assert (found.user, found.userns) == (f"{os.getuid()}:{os.getgid()}", "host")
        assert shell(dataclasses.replace(plan, surroundings=found)).code == 0, shell.err
        assert (tmp_path / "file").read_text() == "written\n"
        assert [each.finding for each in engine_checks(facts(client)) if each.name == "users"] == [
            "the engine maps users (userns-remap); containers of ours are the caller all the same (--userns=host)"
        ]


@pytest.mark.engine
def test_a_mount_is_writable_only_where_the_plan_says_so(shell: Shell, tmp_path: Path) -> None:
    for name in ("data", "results, with a comma"):
        (tmp_path / name).mkdir(mode=0o777)
        (tmp_path / name).chmod(0o777)
    data = BindMount(tmp_path / "data", "/data", read_only=True)
    results = BindMount(tmp_path / "results, with a comma", "/results", read_only=False)
    (data.host / "seen").write_text("as it is\n")
    ending = shell(shell.plan("cat /data/seen; echo kept > /results/new; touch /data/new", data, results))
    assert ending.code == 1
    assert shell.out == ["as it is"]
    assert "Read-only file system" in shell.err[0]
    assert (results.host / "new").read_text() == "kept\n"
    assert (results.host / "new").stat().st_uid == 12345


@pytest.mark.engine
def test_lines_come_whole_and_by_stream(shell: Shell) -> None:
    shell(shell.plan("printf 'one\\ntw\\303'; sleep 0.3; printf '\\266\\n\\nlast'; echo words >&2; exit 3"))
    assert shell.out == ["one", "twö", "", "last"]
    assert shell.err == ["words"]


@pytest.mark.engine
def test_lines_come_while_it_runs(shell: Shell, tmp_path: Path) -> None:
    """The container waits for a file that only its own first line brings about."""
    tmp_path.chmod(0o777)
    gate = BindMount(tmp_path, "/gate", read_only=True)
    script = "echo ready; for i in $(seq 100); do test -e /gate/open && exit 0; sleep 0.1; done; exit 1"
    assert shell(shell.plan(script, gate), lambda _line: (tmp_path / "open").touch()).code == 0


@pytest.mark.engine
def test_a_container_may_be_silent_for_longer_than_a_request_may_take(shell: Shell) -> None:
    shell.engine = DockerEngine(APIClient(version="auto", timeout=1))
    assert shell(shell.plan("sleep 2.5; echo awake")).code == 0
    assert shell.out == ["awake"]


@pytest.mark.engine
def test_out_of_memory_is_told(shell: Shell) -> None:
    plan = shell.plan("head -c 200m /dev/zero | tail | wc -c; kill -9 $$", memory="24m")
    ending = shell(plan)
    assert ending.out_of_memory
    assert ending.code == KILLED
    assert containers(shell.engine) == []


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_from_outside_is_told(shell: Shell, number: signal.Signals) -> None:
    def kill(_line: str) -> None:
        (container,) = containers(shell.engine)
        api(shell.engine).kill(container, int(number))

    ending = shell(shell.plan("echo ready; exec sleep 60"), kill)
    assert ending == ContainerExit(128 + number, out_of_memory=False, signal=int(number))
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_ctrl_c_stops_it_and_keeps_its_last_words(shell: Shell) -> None:
    """The signal comes while the tool waits for output, as it does from a terminal."""

    def interrupt(line: str) -> None:
        if line == "ready":
            Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()

    main = threading.get_ident()
    script = "trap 'echo stopping; echo last >&2; exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    with pytest.raises(KeyboardInterrupt):
        shell(shell.plan(script), interrupt)
    assert shell.out == ["ready", "stopping"]
    assert shell.err == ["last"]
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_a_start_that_fails_leaves_nothing(shell: Shell) -> None:
    plan = dataclasses.replace(shell.plan("true"), surroundings=ContainerUser("nobody-of-this-name"))
    with pytest.raises(ContainerError, match=r"cannot start the container: .*nobody-of-this-name"):
        shell(plan)
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_a_missing_folder_is_refused_and_never_made(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match=r"refuses the container.*absent"):
        shell(shell.plan("true", BindMount(tmp_path / "absent", "/data", read_only=True)))
    assert not (tmp_path / "absent").exists()
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_an_image_that_is_not_there_is_refused(shell: Shell) -> None:
    plan = dataclasses.replace(shell.plan("true"), image=f"{MARK}/absent:1")
    with pytest.raises(ContainerError, match=re.escape(f"{MARK}/absent:1")):
        shell(plan)


@pytest.mark.engine
def test_a_gpu_that_the_engine_cannot_give_is_a_device_error(shell: Shell) -> None:
    if "nvidia" in shell.engine.info().get("Runtimes", {}):
        pytest.skip("this engine has a GPU runtime")
    with pytest.raises(DeviceError, match="cannot give the container a GPU"):
        shell(shell.plan("true", gpus="all"))
    assert containers(shell.engine) == []


def ended_process() -> str:
    """Return the owner label of a tool of this boot that was killed."""
    script = "from mlperf_docker.system import owner; print(owner.current())"
    argv = [sys.executable, "-c", script]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.engine
def test_only_containers_of_killed_tools_are_orphans(clean: DockerEngine, base_image: Base) -> None:
    key, _, value = CONTAINER_LABEL.partition("=")
    dead = ended_process()
    _, pid, started = dead.split(":")
    labels = {
        "orphan": {key: value, OWNER_LABEL: dead},
        "living": {key: value, OWNER_LABEL: owner.current()},
        "other-boot": {key: value, OWNER_LABEL: f"another-boot:{pid}:{started}"},
        "other-kind": {key: "image", OWNER_LABEL: dead},
        "ownerless": {key: value},
        "stranger": {OWNER_LABEL: dead},
    }
    made = {
        name: api(clean).create_container(
            base_image.reference, ["true"], name=f"{MARK}-{name}", labels={TEST_LABEL: MARK, **each}
        )["Id"]
        for name, each in labels.items()
    }
    remove_orphans(clean)  # or a tool of somebody else's did so a moment ago, as each does that starts a run
    assert set(containers(clean)) == set(made.values()) - {made["orphan"]}
    assert f"{MARK}-orphan" not in remove_orphans(clean)


@contextmanager
def started(shell: Shell, script: str) -> Iterator[subprocess.Popen[str]]:
    """A tool of its own that runs *script* in a container, whose first line was "ready"."""
    program = (
        "from mlperf_docker.engine.client import connect; from mlperf_docker.engine.container import run_container\n"
        "from mlperf_docker.engine.plan import RunPlan, ContainerUser\n"
        f"plan = RunPlan({shell.image!r}, ('sh', '-c', {script!r}), (), ContainerUser('1:1'), "
        f"labels=(({TEST_LABEL!r}, {MARK!r}),))\n"
        "run_container(connect(), plan, on_stdout=lambda line: print(line, flush=True), on_stderr=print)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        assert tool.stdout.readline() == "ready\n"
        yield tool


@pytest.mark.engine
def test_the_container_of_a_killed_tool_is_found_and_removed(shell: Shell) -> None:
    """SIGKILL the tool while its container runs, which does not heed its stdin; the next one clears up."""
    with started(shell, "echo ready; sleep 60") as tool:
        assert len(containers(shell.engine)) == 1
        remove_orphans(shell.engine)
        assert len(containers(shell.engine)) == 1, "its tool is alive"
        os.kill(tool.pid, signal.SIGKILL)
    remove_orphans(shell.engine)
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_stdin_ends_when_the_tool_is_killed_and_not_before(shell: Shell) -> None:
    with started(shell, "echo ready; cat") as tool:
        os.kill(tool.pid, signal.SIGSTOP)
        time.sleep(1)
        assert len(containers(shell.engine)) == 1, "a tool that is stopped goes on some time"
        os.kill(tool.pid, signal.SIGCONT)
        time.sleep(0.2)
        assert len(containers(shell.engine)) == 1
        os.kill(tool.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while containers(shell.engine) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert containers(shell.engine) == []


@pytest.mark.engine
def test_an_engine_that_is_killed_while_the_container_runs(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with second_engine(disk="64m") as second:
        monkeypatch.setenv("DOCKER_HOST", second.socket)
        client = connect()
        api(client).import_image_from_data(tiny_image.archive(), repository="tiny", tag="1")
        shell = Shell(client, "tiny:1")
        with pytest.raises(ContainerError, match="engine went away"):
            shell(shell.plan("echo ready; sleep 60"), lambda _line: second.kill())
    assert shell.out == ["ready"]
