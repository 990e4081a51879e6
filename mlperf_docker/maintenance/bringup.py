"""Bring-up of an engine: checked, and as root on Debian or Ubuntu installed and started if there is none.

`make demo`, `make test` and `make image` call this as `python -m mlperf_docker.maintenance.bringup`; the command-line
tool itself never installs anything.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import BaseImage
from mlperf_docker.display import printable
from mlperf_docker.engine.address import has_context
from mlperf_docker.engine.client import connect
from mlperf_docker.engine.engine import EngineDownError
from mlperf_docker.engine.facts import facts
from mlperf_docker.engine.local_images import find
from mlperf_docker.errors import EngineError, MlperfDockerError
from mlperf_docker.images.bases import KEYRING, KEYRING_PACKAGE
from mlperf_docker.images.known_bases import bootstrap_tag
from mlperf_docker.system import paths
from mlperf_docker.system.redaction import hidden

_INSTALL_TIMEOUT_S = 900
_LOCK_TIMEOUT_S, _LOCK_PAUSE_S = 600, 2.0
_START_TIMEOUT_S = 60


def ensure_engine(say: Callable[[str], None]) -> None:
    """Return once an engine answers. Says every step that changes this host; raises EngineError where it may not.

    An engine that is too old, hangs or is elsewhere is never replaced.
    """
    refusal = _refusal()
    if refusal is None:
        return
    if not isinstance(refusal, EngineDownError) or _is_elsewhere() or not may_install():
        raise refusal
    if shutil.which("dockerd") is None:
        say("No Docker engine here: installing docker.io with apt-get.")
        install("docker.io", say)
    refusal = _refusal()
    if refusal is None:  # the package's own service started it
        return
    _start(say)


def ensure_bootstrap(say: Callable[[str], None], bases: Iterable[BaseImage]) -> None:
    """Have what makes a base where no registry answers, unless the engine has one of *bases* already.

    That is mmdebstrap and the keys of Debian, which no other distribution has from the start.
    """
    there = {"mmdebstrap": shutil.which("mmdebstrap") is not None, KEYRING_PACKAGE: KEYRING.exists()}
    missing = [package for package, found in there.items() if not found]
    if not missing or not may_install():
        return
    client = connect()
    if any(find(client, name) for base in bases for name in (base.pinned, bootstrap_tag(base))):
        return
    for package in missing:
        say(f"No base image here: installing {package} with apt-get, in case none can be pulled.")
        install(package, say)


def _refusal() -> EngineError | None:
    try:
        facts(connect())
    except EngineError as error:
        return error
    return None


def _is_elsewhere() -> bool:
    """Tell whether docker was pointed at an engine other than this system's own."""
    return bool(os.environ.get("DOCKER_HOST")) or has_context()


def may_install() -> bool:
    """Tell whether packages can be installed here: as root, on Debian or what descends from it."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


class _LockedError(EngineError):
    """Another package manager is at work. apt-get has an option to wait for it, but not in `update`."""


def install(package: str, say: Callable[[str], None]) -> None:
    """Install *package* and what it recommends: where AppArmor is on, an engine without its tools starts nothing.

    Waits for another package manager. Raises EngineError with apt-get's own words.
    """

    def tell(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            say("Another package manager is at work, as on a machine that has just started: waiting for it.")

    retrying = Retrying(
        retry=retry_if_exception_type(_LockedError),
        wait=wait_fixed(_LOCK_PAUSE_S),
        stop=stop_after_delay(_LOCK_TIMEOUT_S),
        before_sleep=tell,
        reraise=True,
    )
    for argv in (["apt-get", "update"], ["apt-get", "install", "--yes", package]):
        retrying(_apt, argv, package)


def _apt(argv: list[str], package: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        kind = _LockedError if "Could not get lock" in done.stderr else EngineError
        raise kind(f"{' '.join(argv)} failed:\n{last}", hint=f"Install {package} by hand.")


def _start(say: Callable[[str], None]) -> None:
    """Start the daemon in a session of its own, and wait until it answers."""
    log = paths.log_dir() / "dockerd.log"
    say(f"Starting dockerd; its log is {log}.")
    with log.open("ab") as output:
        daemon = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and daemon.poll() is None:
        if _refusal() is None:
            return
        time.sleep(0.2)
    daemon.terminate()
    raise EngineError(f"dockerd did not come up. Its log: {log}", hint="Start a Docker engine by hand.")


def main() -> int:
    """Bring an engine up, and what a base can be made with."""

    def say(text: str) -> None:
        print(printable.lines(hidden(text)), file=sys.stderr, flush=True)  # noqa: T201  # a script of its own

    try:
        ensure_engine(say)
        ensure_bootstrap(say, {spec.base for spec in Catalog.load().specs})
    except MlperfDockerError as error:
        say("\n".join(error.lines()))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
