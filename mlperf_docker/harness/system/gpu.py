"""GPUs and their memory, as the driver reports them."""

import ctypes
from typing import Any

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.errors import DeviceError

BUS_ID_BYTES = 32


class _Memory(ctypes.Structure):
    """NVML's nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def count(device: Device) -> int:
    """Devices of this kind that this process sees, 1 without a driver: the driver's own count. Raises DeviceError.

    CUDA's heeds CUDA_VISIBLE_DEVICES.
    """
    driver, found = device.profile.driver, ctypes.c_int()
    if driver is None:
        return 1
    try:
        library = ctypes.CDLL(driver.library)
        codes = [getattr(library, driver.initialise)(0), getattr(library, driver.count)(ctypes.byref(found))]
    except (OSError, AttributeError) as error:
        raise DeviceError("the driver of the GPU does not tell how many there are", details=[str(error)]) from error
    if any(codes):
        raise DeviceError(f"the driver of the GPU does not tell how many there are: {driver.library} says {codes}")
    return found.value


def free_bytes(device: Device, number: int = 0) -> int:
    """Bytes that are free on the GPU that frameworks call *number*, as NVML says. Raises DeviceError."""
    driver, memory, handle = device.profile.driver, _Memory(), ctypes.c_void_p()
    if driver is None or driver.management is None:
        raise DeviceError(f"the driver of the {device.profile.title} does not tell how much memory it has")
    try:
        library = ctypes.CDLL(driver.management)
        codes = [
            library.nvmlInit_v2(),
            _find(library, number, handle),
            library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)),
        ]
    except (OSError, AttributeError) as error:
        raise DeviceError("the driver of the GPU does not tell how much memory it has", details=[str(error)]) from error
    if any(codes):
        raise DeviceError(f"the driver of the GPU does not tell how much memory it has: NVML says {codes}")
    return int(memory.free)


def _find(library: Any, number: int, handle: ctypes.c_void_p) -> int:  # noqa: ANN401 (ctypes' libraries have no types)
    """NVML's code for finding a GPU by its place on the bus: NVML numbers GPUs by that, CUDA the quickest first."""
    bus_id = _bus_id(number)
    if bus_id is None:
        return int(library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(handle)))
    return int(library.nvmlDeviceGetHandleByPciBusId_v2(bus_id, ctypes.byref(handle)))


def _bus_id(number: int) -> bytes | None:
    """Where CUDA's GPU *number* is on the bus; None if it does not tell."""
    device, found = ctypes.c_int(), ctypes.create_string_buffer(BUS_ID_BYTES)
    try:
        library = ctypes.CDLL("libcuda.so.1")
        codes = [library.cuInit(0), library.cuDeviceGet(ctypes.byref(device), number)]
        codes.append(library.cuDeviceGetPCIBusId(found, BUS_ID_BYTES, device))
    except (OSError, AttributeError):
        return None
    return None if any(codes) else found.value
