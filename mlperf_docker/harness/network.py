"""An architecture with its weights: what every backend turns into a predictor through its own operations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.interface import Interface
from mlperf_docker.harness.ops.base import Ops
from mlperf_docker.harness.weights import ArrayWeights, Weights

Build = Callable[[Ops[Any], Weights[Any], tuple[Any, ...]], tuple[Any, ...]]
"""Inputs to outputs, both in the order of the interface, over any backend's operations."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be run. interface: its inputs (channels first) and everything that *build* gives back.

    arrays: by canonical name, already checked against what *build* asks for.
    """

    name: str
    interface: Interface
    arrays: Mapping[str, NDArray[Any]]
    build: Build

    def outputs(self, ops: Ops[Any], inputs: tuple[Any, ...], names: tuple[str, ...] | None = None) -> tuple[Any, ...]:
        """Build the network over *ops*; its outputs, or those called *names*, in their order."""
        found = self.build(ops, ArrayWeights(ops, self.arrays), inputs)
        if names is None:
            return found
        by_name = {tensor.name: value for tensor, value in zip(self.interface.outputs, found, strict=True)}
        return tuple(by_name[name] for name in names)
