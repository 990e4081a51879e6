"""Memory and threads that this process may use."""

import os
import resource
from pathlib import Path

MOST_THREADS = 1 << 22
"""What Linux knows at most, where the kernel does not tell its limit."""


def _quota_v2(root: Path) -> float | None:
    try:
        limit, period = (root / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) / int(period)


def _quota_v1(root: Path) -> float | None:
    try:
        limit = int((root / "cpu/cpu.cfs_quota_us").read_text(encoding="utf-8"))
        period = int((root / "cpu/cpu.cfs_period_us").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return limit / period if limit > 0 else None


def cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """CPU cores this process may use, at least 1: its affinity, cut to the cgroup's quota (`docker run --cpus`).

    A fraction is rounded down: one thread more than the quota makes the kernel throttle all of them.
    """
    allowed = len(os.sched_getaffinity(0))
    quota = _quota_v2(root) or _quota_v1(root)
    return max(1, min(allowed, int(quota))) if quota else allowed


def _number(path: Path) -> int | None:
    """The number in a file of the kernel's, None where there is none or it says "max"."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def free_threads(root: Path = Path("/sys/fs/cgroup"), kernel: Path = Path("/proc/sys/kernel")) -> int:
    """Threads that may still be started: the kernel's limit, cut to the cgroup's (`docker run --pids-limit`)."""
    free = _number(kernel / "threads-max") or MOST_THREADS
    for folder in (root, root / "pids"):
        most, now = _number(folder / "pids.max"), _number(folder / "pids.current")
        if most is not None and now is not None:
            free = min(free, most - now)
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.getuid() != 0 and limit != resource.RLIM_INFINITY:
        free = min(free, limit)
    return max(0, free)


def free_memory(root: Path = Path("/sys/fs/cgroup"), host: Path = Path("/proc/meminfo")) -> int:
    """Bytes that this process may still take: what the host has, cut to the cgroup's limit (`docker run --memory`).

    Cached file pages count as free, as they do for the kernel.
    """
    lines = dict(line.split(":") for line in host.read_text(encoding="utf-8").splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024
    for limit, used, cached in (
        (root / "memory.max", root / "memory.current", root / "memory.stat"),
        (root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes", root / "memory/memory.stat"),
    ):
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            free = min(free, most - now + _file_pages(cached))
    return max(0, free)


def _file_pages(stat: Path) -> int:
    """Bytes of cached files that a cgroup could give back."""
    try:
        found = dict(line.split() for line in stat.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return 0
    return int(found.get("total_inactive_file", found.get("inactive_file", 0)))
