"""Reader of NVIDIA's GPUs: what the driver's /proc tells, and nvidia-smi where it is there."""

import contextlib
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from mlperf_docker.host.facts import Gpu
from mlperf_docker.host.tree import Tree

_PROC = "/proc/driver/nvidia"
_DRIVERS = (f"{_PROC}/version", "/dev/dxg")  # the second is the one of WSL
_ARGV = ("--query-gpu=name,memory.total,power.limit,driver_version", "--format=csv,noheader,nounits")
_TIMEOUT_S = 15.0  # a driver without persistence wakes every GPU first
_MIB = 1 << 20

Query = Callable[[], str | None]
"""What asks nvidia-smi, and returns its lines."""


def ask() -> str | None:
    """Return the lines of nvidia-smi; None where it is not there, fails, or takes too long."""
    program = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    if program is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        done = subprocess.run([program, *_ARGV], capture_output=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False)
        return done.stdout if done.returncode == 0 else None
    return None


def read(files: Tree, query: Query = ask) -> tuple[Gpu, ...] | None:
    """Return the GPUs. nvidia-smi is asked only where there is a driver."""
    if not any(map(files.has, _DRIVERS)):
        return () if files.has("/proc/version") else None
    found = list(_listed(query() or "")) or list(_of_proc(files))
    return tuple(replace(gpu, count=count) for gpu, count in Counter(found).items())


def _listed(lines: str) -> Iterator[Gpu]:
    for line in lines.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == len(_ARGV[0].split(",")):
            name, memory, power, driver = fields
            size = _number(memory)
            yield Gpu(name, round(size * _MIB) if size else None, _number(power), driver, 1)


def _number(text: str) -> float | None:
    """Return a number of nvidia-smi's, which writes `[N/A]` and the like for others."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def _of_proc(files: Tree) -> Iterator[Gpu]:
    version = re.search(r"Kernel Module\D*(\d[\d.]+)", files.text(f"{_PROC}/version") or "")
    for name in files.names(f"{_PROC}/gpus"):
        for line in (files.text(f"{_PROC}/gpus/{name}/information") or "").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model" and value.strip():
                yield Gpu(value.strip(), None, None, version[1] if version else None, 1)
