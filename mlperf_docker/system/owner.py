"""Owner of a container: process, start time and boot, to tell an orphan from a container in use."""

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TIME_FIELD = 19  # of the fields after the command's closing parenthesis, proc(5)


def current() -> str:
    """Return this process as `<boot id>:<pid>:<start time>`; the start time tells a reused pid."""
    return f"{_boot_id()}:{os.getpid()}:{_start_time(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Tell whether *owner* was a process of this boot that no longer runs; False for another host's or boot's."""
    boot, _, process = owner.partition(":")
    pid, _, started = process.partition(":")
    if boot != _boot_id() or not pid.isdecimal():
        return False
    return _start_time(int(pid)) != started


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # not Linux: nothing is ever taken for an orphan
        return "unknown"


def _start_time(pid: int) -> str:
    """Return the clock ticks from boot to the start of *pid*, or "" where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[_START_TIME_FIELD]
