"""How much memory a GPU has, asked of its driver."""

import ctypes

from mlperf_docker.harness.errors import DeviceError


class _Memory(ctypes.Structure):
    """NVML's nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def free_bytes() -> int:
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
