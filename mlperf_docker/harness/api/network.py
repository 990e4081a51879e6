"""Network: an architecture with its weights, which every backend builds from its own operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.named_weights import ArrayWeights, Weights
from mlperf_docker.harness.api.ops import Ops

Build = Callable[[Ops[Any], Weights[Any], tuple[Any, ...]], tuple[Any, ...]]
"""Inputs to outputs, both in the order of the interface, over any backend's operations."""

Batch = tuple[NDArray[Any], ...]
Prepare = Callable[[Batch], Batch]
"""A batch of samples to the inputs of a network. What it gives is good until the next call."""


class Front(Protocol):
    """Work of the host on a batch before the framework gets it: look-ups in tables that stay in its memory."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it takes, which are those of the samples."""
        ...

    def open(self, threads: int, allocate: Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]) -> Prepare:
        """The work itself, for one predictor, on *threads* threads. allocate: gives memory that the device likes."""
        ...


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be run."""

    name: str
    interface: Interface
    """Inputs (channels first) and all outputs of *build*."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays by canonical name, already checked against what *build* asks for."""
    build: Build
    front: Front | None = None
    """Function that makes the inputs from samples; None if samples are the inputs."""

    def outputs(self, ops: Ops[Any], inputs: tuple[Any, ...], names: tuple[str, ...] | None = None) -> tuple[Any, ...]:
        """Build the network over *ops*; its outputs, or those called *names*, in their order."""
        found = self.build(ops, ArrayWeights(ops, self.arrays), inputs)
        if names is None:
            return found
        by_name = {tensor.name: value for tensor, value in zip(self.interface.outputs, found, strict=True)}
        return tuple(by_name[name] for name in names)
