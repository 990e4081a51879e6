"""A second daemon, with a small disk if wanted, in namespaces of its own: it can touch nothing of the first.

In the host's own network namespace it would take the first daemon's bridge away, whatever it is told.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_TIMEOUT_S = 60
# Whatever is mounted or started in these is gone when the daemon is.
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# A disk of size $1 at $2; the file $3 in the place of those with the subordinate users and groups.
_SCRIPT = """
if [ "$1" ]; then mount -t tmpfs -o size="$1" tmpfs "$2" || exit; fi
if [ "$3" ]; then mount --bind "$3" /etc/subuid && mount --bind "$3" /etc/subgid || exit; fi
shift 3 && exec "$@"
"""
_MAPPED = "nobody:100000:65536\nnogroup:100000:65536\n"


@dataclass(frozen=True)
class SecondEngine:
    """socket: what DOCKER_HOST takes; data: the folder of all that it has, as far as it is no disk of its own."""

    socket: str
    data: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the daemon and all that it started, at once."""
        self.process.kill()
        self.process.wait(timeout=_TIMEOUT_S)


@contextmanager
def second_engine(*, disk: str = "", beside: int | None = None, maps_users: bool = False) -> Iterator[SecondEngine]:
    """Run a daemon whose data lie on a disk of size *disk*, "" for the host's. Skips where that is not allowed.

    beside: a process whose network it shares; without one it has none. maps_users: to others of the host's.
    """
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        pytest.skip("a second daemon needs root, dockerd and unshare")
    with tempfile.TemporaryDirectory(prefix="mlperf-test-") as folder:  # short: a socket's path may have 107 bytes
        own: tuple[str, ...] = ()
        if maps_users:
            Path(folder).chmod(0o755)  # it lets the users in to which it maps
            (Path(folder) / "mapped").write_text(_MAPPED, encoding="utf-8")
            own = ("--userns-remap=nobody:nogroup",)
        if beside is None:
            yield from _run(Path(folder), disk, ("unshare", "--net"), *own)
        else:  # a bridge of its own would come between that process and its network
            yield from _run(Path(folder), disk, ("nsenter", f"--net=/proc/{beside}/ns/net"), "--bridge=none")


def _run(folder: Path, disk: str, network: tuple[str, ...], *own: str) -> Iterator[SecondEngine]:
    data, socket, log = folder / "data", folder / "docker.sock", folder / "dockerd.log"
    data.mkdir()
    daemon = [
        "dockerd", f"--data-root={data}", f"--exec-root={folder / 'exec'}", f"--pidfile={folder / 'pid'}",
        f"--host=unix://{socket}", "--iptables=false", *own,
    ]  # fmt: skip
    mapped = folder / "mapped"
    places = (disk, str(data), str(mapped) if mapped.exists() else "")
    argv = [*network, *_NAMESPACES, "sh", "-c", _SCRIPT, "sh", *places, *daemon]
    with log.open("wb") as output, subprocess.Popen(argv, stdout=output, stderr=output, start_new_session=True) as run:
        engine = SecondEngine(f"unix://{socket}", data, run)
        try:
            _wait(run, log)
            yield engine
        finally:
            engine.kill()


def _wait(run: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while "API listen on" not in log.read_text():
        if run.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the second daemon did not come up:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
