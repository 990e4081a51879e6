"""TorchScript archive of a network, traced."""

import warnings
from pathlib import Path

import torch

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.backends.batches import zeros
from mlperf_docker.harness.ops.torch import TorchOps

CPU = torch.device("cpu")


class _Traced(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """A network as a module to trace: one output by itself, several as a tuple."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        found = self._network.outputs(TorchOps(CPU), inputs)
        return found[0] if len(found) == 1 else found


def write(network: Network, path: Path) -> None:
    """Write *network*, traced with one sample, as *path*."""
    examples = tuple(torch.from_numpy(array) for array in zeros(network.interface, 1))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of sizes that became constants: they are meant to be
        torch.jit.trace(_Traced(network).eval(), examples, check_trace=False).save(str(path))
