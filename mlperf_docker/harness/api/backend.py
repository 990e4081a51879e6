"""Interface of backends: load request, predictor, proof of the device."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import DeviceMemoryError, UsageError
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.network import Network

Arrays = tuple[NDArray[Any], ...]
"""Input or output tensors of a batch, in the order of the interface; the first axis of each counts samples."""
FP32 = "fp32"
INT8 = "int8"
"""Precisions, as images.yaml names them."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A model to load: an official file that the backend runs as it is, or a network."""

    source: Path | Network
    interface: Interface
    """Inputs to feed and outputs to fetch."""
    device: Device
    threads: int
    """Threads for the operators of one predictor."""
    format: ModelFormat | None = None
    """Format of the file; None for a network."""
    precision: str = FP32
    """Precision of a network's computation; a file has its own."""
    provable: bool = True
    """True if `prove` will be called: until then some backends write down all that they do."""
    number: int = 0
    """Index of the device, as the framework counts them."""


def check_precision(request: LoadRequest, *known: str) -> None:
    """Raise UsageError if a network is asked for in a precision other than fp32 and those *known*."""
    if request.precision not in (FP32, *known):
        there = ", ".join((FP32, *known))
        raise UsageError(f"this backend does not run networks in {request.precision}; it has {there}")


NO_MEMORY = re.compile(r"bad_alloc|out of memory|(can't|cannot|failed to|unable to) allocate", re.IGNORECASE)
"""What frameworks say where there is no memory for a batch."""


def memory_error(error: Exception, samples: int, device: Device) -> DeviceMemoryError | None:
    """The error for *samples* that the device's memory does not hold, if *error* is of that kind."""
    if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
        return None
    return DeviceMemoryError(f"{samples} samples do not fit into {device.profile.memory}")


class Predictor(Protocol):
    """A loaded model. One thread at a time calls it."""

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs for a batch; later calls leave them alone. Raises DeviceMemoryError where the batch is too large."""
        ...

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* once and tell where it was computed. Raises DeviceError if not on the device asked for."""
        ...


class Backend(Protocol):
    """A framework: checks a device without loading a model, and loads models."""

    name: str
    formats: frozenset[ModelFormat]
    """Formats of files that it runs as they are."""
    computes: bool
    """False if its answers are made up; then it needs no model file."""
    writes: frozenset[ModelFormat]
    """Formats that it writes networks in, besides safetensors."""

    def versions(self) -> Mapping[str, str]:
        """Package versions that the result names."""
        ...

    def check_device(self, device: Device) -> None:
        """Raise DeviceError if *device* cannot be used; quick, and before any other work."""
        ...

    def count(self, device: Device) -> int:
        """How many devices of this kind the framework sees; of a CPU always one. After `check_device`."""
        ...

    def examine(self, path: Path, format: ModelFormat, interface: Interface) -> Interface:  # noqa: A002
        """*interface* as a file has it, which the backend would run as it is: with its batch, where that is fixed.

        Nothing is kept. Raises ModelFileError if the file is damaged, has another interface, or weights that are not
        finite.
        """
        ...

    def load(self, request: LoadRequest) -> Predictor:
        """Load a model. Raises ModelFileError if it is damaged or has another interface."""
        ...

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:
        """Uninitialised host memory for samples on their way to *device*: pinned, where that makes copies quicker."""
        ...
