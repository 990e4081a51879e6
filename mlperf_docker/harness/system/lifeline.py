"""Lifeline of a container: the harness ends when its stdin closes, which the host keeps open."""

import contextlib
import os
import signal
import time

from mlperf_docker.contract import places

_PATIENCE_S = 3.0  # between SIGTERM and SIGKILL
_LOOK_S = 0.1

_HOLDERS: set[int] = set()
"""This process, once it ends with its starter."""


def hold() -> None:
    """Where the starter asks for it by `LIFELINE_VARIABLE`, have a child of this process end it when stdin is closed.

    A process and no thread: a thread could not run while a call in C or C++ holds the interpreter's lock. To be called
    before anything starts threads. A container's end is the child's end too. Afterwards this process's stdin is empty.
    """
    if not os.environ.pop(places.LIFELINE_VARIABLE, ""):
        return
    parent = os.getpid()
    _HOLDERS.add(parent)
    if os.fork() == 0:
        try:
            _watch(parent)
        finally:
            os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def is_held() -> bool:
    """Tell whether a starter waits for this process: it keeps the result then, with what only it knows."""
    return os.getpid() in _HOLDERS


def _watch(parent: int) -> None:
    """Wait for the end of stdin, then end *parent*."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group, they are meant for the parent
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # whoever reads the parent's output would wait for this process too
    os.dup2(null, 2)
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    for number, patience_s in ((signal.SIGTERM, _PATIENCE_S), (signal.SIGKILL, 0.0)):
        if os.getppid() != parent:
            return
        os.kill(parent, number)
        _wait(parent, patience_s)


def _wait(parent: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
