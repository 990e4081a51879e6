"""TorchScript archive of a network, traced."""

import warnings
from pathlib import Path

import torch

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends.batches import zeros
from mlperf_docker.harness.ops.torch import TorchOps

CPU = torch.device("cpu")
EXAMPLES = 2
"""Samples to trace a network with that takes any number: with one, a batch of one would be taken for granted."""


class _Traced(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A network as a module to trace: one output by itself, several as a tuple."""

    def __init__(self, network: Network, names: tuple[str, ...] | None, *, as_tuple: bool) -> None:
        super().__init__()
        self._network, self._names, self._as_tuple = network, names, as_tuple

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        found = self._network.outputs(TorchOps(CPU), inputs, self._names)
        return found[0] if len(found) == 1 and not self._as_tuple else found


def write(network: Network, path: Path) -> None:
    """Write *network*, traced with one sample, as *path*."""
    traced(network, 1).save(str(path))


def traced(
    network: Network, count: int, names: tuple[str, ...] | None = None, *, as_tuple: bool = False
) -> torch.jit.ScriptModule:
    """Return *network* traced with *count* samples of zeros.

    names: the outputs that it gives, instead of all. as_tuple: one output comes as a tuple too.
    """
    examples = tuple(torch.from_numpy(array) for array in zeros(network.interface, count))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of sizes that became constants: they are meant to be
        return torch.jit.trace(_Traced(network, names, as_tuple=as_tuple).eval(), examples, check_trace=False)
