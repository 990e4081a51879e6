"""Owner of a container: running, gone, or unknown."""

import subprocess
import sys

from mlperf_docker.system import owner


def test_this_process_is_there() -> None:
    assert not owner.is_gone(owner.current())


def test_an_ended_process_is_gone() -> None:
    script = "from mlperf_docker.system import owner; print(owner.current())"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip()
    assert owner.is_gone(ended)


def test_a_reused_pid_is_gone() -> None:
    boot, pid, started = owner.current().split(":")
    assert owner.is_gone(f"{boot}:{pid}:{int(started) + 1}")


def test_another_boot_or_no_owner_is_never_judged() -> None:
    _, pid, started = owner.current().split(":")
    assert not owner.is_gone(f"another-boot:{pid}0:{started}")
    assert not owner.is_gone("")
