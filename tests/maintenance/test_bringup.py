"""Bring-up of an engine. Programs are stand-ins; CI itself installs the real ones."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.engine.client import DockerEngine
from mlperf_docker.engine.engine import EngineDownError
from mlperf_docker.errors import EngineError
from mlperf_docker.images.known_bases import bootstrap_tag
from mlperf_docker.maintenance import bringup

NOT_RUNNING = EngineDownError("No Docker engine is running.", hint="Start it.")


class Host:
    """A host whose programs are scripts that note how they were called. The engine answers once *up* exists."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bin, self.calls, self.up, self.said = folder / "bin", folder / "calls", folder / "up", list[str]()
        self.bin.mkdir()
        self.calls.touch()
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            patch.delenv(name, raising=False)
        patch.setenv("DOCKER_CONFIG", str(folder))
        patch.setenv("PATH", str(self.bin))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setattr(bringup, "_refusal", lambda: None if self.up.exists() else NOT_RUNNING)
        patch.setattr(bringup, "may_install", lambda: True)
        patch.setattr(bringup, "_START_TIMEOUT_S", 3)

    def program(self, name: str, script: str = "") -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        path.chmod(0o755)

    def ensure(self) -> None:
        bringup.ensure_engine(self.said.append)

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_an_engine_that_answers_is_left_alone(host: Host) -> None:
    for name in ("apt-get", "dockerd"):
        host.program(name)
    host.up.touch()
    host.ensure()
    assert (host.called, host.said) == ([], [])


@pytest.mark.engine
def test_the_real_engine_is_left_alone(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.run", forbidden)
    monkeypatch.setattr("subprocess.Popen", forbidden)
    said: list[str] = []
    bringup.ensure_engine(said.append)
    assert said == []


def test_an_engine_elsewhere_is_never_replaced_by_one_here(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.program("apt-get")
    host.program("dockerd")
    monkeypatch.setenv("DOCKER_HOST", "tcp://there:2375")
    with pytest.raises(EngineError, match="No Docker engine is running"):
        host.ensure()
    assert host.called == []


@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_whatever_names_another_engine_counts(host: Host, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    host.program("dockerd")
    monkeypatch.setenv(name, "elsewhere")
    with pytest.raises(EngineError, match="No Docker engine is running"):
        host.ensure()
    assert host.called == []


def test_an_engine_that_is_too_old_is_not_started_over(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.program("dockerd")
    monkeypatch.setattr(bringup, "_refusal", lambda: EngineError("The Docker engine is too old."))
    with pytest.raises(EngineError, match="too old"):
        host.ensure()
    assert host.called == []


def test_a_host_where_nothing_may_be_installed_gets_the_reason(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.program("apt-get")
    monkeypatch.setattr(bringup, "may_install", lambda: False)
    with pytest.raises(EngineError, match="No Docker engine is running"):
        host.ensure()
    assert host.called == []


@pytest.mark.parametrize(("user", "apt", "may"), [(0, True, True), (1000, True, False), (0, False, False)])
def test_only_root_with_apt_may_install(
    user: int, apt: bool, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/etc/debian_version").exists():
        pytest.skip("not a Debian")
    if apt:
        (tmp_path / "apt-get").write_text("#!/bin/sh\n")
        (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert bringup.may_install() is may


def test_missing_programs_are_installed_and_named(host: Host) -> None:
    host.program("apt-get", f"case $1 in install) : > {host.up};; esac")  # the package's service starts the engine
    host.ensure()
    assert host.called == ["apt-get update", "apt-get install --yes docker.io"]
    assert host.said == ["No Docker engine here: installing docker.io with apt-get."]


@pytest.mark.parametrize("foreign", [False, True], ids=["debian", "other distribution"])
@pytest.mark.parametrize("here", ["pinned", "bootstrapped", "neither"])
def test_mmdebstrap_is_installed_only_where_there_is_no_base(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resnet50: ImageSpec, here: str, foreign: bool
) -> None:
    host.program("apt-get")
    names = {"pinned": resnet50.base.pinned, "bootstrapped": bootstrap_tag(resnet50.base), "neither": ""}
    monkeypatch.setattr(bringup, "connect", lambda: None)
    monkeypatch.setattr(bringup, "find", lambda _client, name: name == names[here] or None)
    keyring = tmp_path / "debian.gpg"
    monkeypatch.setattr(bringup, "KEYRING", keyring)
    if not foreign:
        keyring.touch()
    bringup.ensure_bootstrap(host.said.append, [resnet50.base])
    packages = ("mmdebstrap", "debian-archive-keyring") if foreign else ("mmdebstrap",)
    installed = [line for each in packages for line in ("apt-get update", f"apt-get install --yes {each}")]
    assert host.called == (installed if here == "neither" else [])
    assert len(host.said) == (len(packages) if here == "neither" else 0)


def test_an_installed_engine_is_only_started(host: Host, tmp_path: Path) -> None:
    host.program("dockerd", f"echo awake; : > {host.up}; exec /bin/sleep 1")
    host.ensure()
    assert host.called == ["dockerd "]
    log = tmp_path / "state" / "mlperf-docker" / "logs" / "dockerd.log"
    assert host.said == [f"Starting dockerd; its log is {log}."]
    assert log.read_text() == "awake\n"


def test_an_installation_that_fails_is_quoted(host: Host) -> None:
    host.program("apt-get", "echo 'E: Unable to fetch some archives' >&2; exit 100")
    with pytest.raises(EngineError, match=r"apt-get update failed:\nE: Unable to fetch") as caught:
        host.ensure()
    assert "by hand" in (caught.value.hint or "")


LOCKED = "echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7' >&2; exit 100"


def test_another_package_manager_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringup, "_LOCK_PAUSE_S", 0.01)
    host.program("apt-get", f"[ $(wc -l < {host.calls}) -gt 3 ] || {{ {LOCKED}; }}; [ $1 = update ] || : > {host.up}")
    monkeypatch.setenv("PATH", f"{host.bin}:/usr/bin:/bin")
    host.ensure()
    assert host.called == [*["apt-get update"] * 4, "apt-get install --yes docker.io"]
    assert [said for said in host.said if "waiting" in said] == host.said[1:]


def test_another_package_manager_that_never_ends_is_not(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringup, "_LOCK_PAUSE_S", 0.01)
    monkeypatch.setattr(bringup, "_LOCK_TIMEOUT_S", 0.2)
    host.program("apt-get", LOCKED)
    with pytest.raises(EngineError, match="held by process 7"):
        host.ensure()


@pytest.mark.parametrize("script", ["exit 1", "exec /bin/sleep 4"], ids=["dies", "never answers"])
def test_a_daemon_that_does_not_come_up_names_its_log(host: Host, script: str) -> None:
    host.program("dockerd", script)
    with pytest.raises(EngineError, match=r"did not come up.*dockerd\.log"):
        host.ensure()


def test_the_script_says_what_is_wrong_and_how_to_help(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bringup, "may_install", lambda: False)
    assert bringup.main() == ExitCode.ENGINE
    assert capsys.readouterr().err == "Error: No Docker engine is running.\nHint:  Start it.\n"
    host.up.touch()
    assert bringup.main() == 0


def test_the_script_prints_no_login(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "DOCKER_HOST": "tcp://me:hunter2@127.0.0.1:9"}
    argv = [sys.executable, "-m", "mlperf_docker.maintenance.bringup"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ExitCode.ENGINE
    assert "***@127.0.0.1:9" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
