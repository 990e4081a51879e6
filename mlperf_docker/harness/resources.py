"""How much of the machine this process may use."""

import os
from pathlib import Path


def _quota_v2(root: Path) -> float | None:
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) / int(period)


def _quota_v1(root: Path) -> float | None:
    try:
        limit = int((root / "cpu/cpu.cfs_quota_us").read_text())
        period = int((root / "cpu/cpu.cfs_period_us").read_text())
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
