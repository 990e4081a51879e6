"""How much memory there is: the host's, as far as this process may use it, and that of a GPU."""

import ctypes
from pathlib import Path

from mlperf_docker.harness.errors import DeviceError

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Limit of a container, in the second and the first version of control groups."""


def host_bytes(root: Path = Path("/")) -> int:
    """Bytes that this process may still use; files that the kernel could drop from memory count as free."""
    lines = (root / "proc/meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    free = int(fields["MemAvailable"].split()[0]) * 1024
    for limit in _LIMITS:
        try:
            text = (root / "sys/fs/cgroup" / limit).read_text().strip()
        except OSError:
            continue
        if text != "max":
            # What the container uses already is nearly all files that it has looked at, which the kernel can drop.
            free = min(free, int(text))
        break
    return free


class _Memory(ctypes.Structure):
    """NVML's nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpu_bytes() -> int:
    """Bytes that are free on the first GPU, as the driver says, whatever framework is here. Raises DeviceError."""
    memory, handle = _Memory(), ctypes.c_void_p()
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        codes = [
            library.nvmlInit_v2(),
            library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)),
            library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)),
        ]
    except (OSError, AttributeError) as error:
        raise DeviceError("the driver of the GPU does not tell how much memory it has", details=[str(error)]) from error
    if any(codes):
        raise DeviceError(f"the driver of the GPU does not tell how much memory it has: NVML says {codes}")
    return int(memory.free)
