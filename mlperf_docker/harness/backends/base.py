"""What the harness asks of a backend."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mlperf_docker.harness.names import Device

Arrays = tuple[NDArray[Any], ...]
"""Input or output tensors of a batch, in the order of the interface; the first axis of each counts samples."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a model's interface. shape: None stands for an axis of any length (the batch)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("N" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} {self.dtype} [{axes}]"


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs that a model takes, and outputs that the harness fetches (a file may have more)."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """A model to load. threads: for the operators of one predictor."""

    path: Path
    interface: Interface
    device: Device
    threads: int


class Predictor(Protocol):
    """A loaded model. One thread at a time calls it."""

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs for a batch; they may be overwritten by the next call."""
        ...

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Run *inputs* once and tell where it was computed. Raises DeviceError if not on the device asked for."""
        ...


class Backend(Protocol):
    """A framework: checks a device without loading a model, and loads models."""

    name: str

    def versions(self) -> Mapping[str, str]:
        """Package versions that the result names."""
        ...

    def check_device(self, device: Device) -> None:
        """Raise DeviceError if *device* cannot be used; quick, and before any other work."""
        ...

    def load(self, request: LoadRequest) -> Predictor:
        """Load a model. Raises ModelFileError if it is damaged or has another interface."""
        ...
