"""PyTorch checkpoint: weights by name."""

from pathlib import Path

import numpy as np
import torch

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Named


def write(network: Network, path: Path) -> None:
    """Write the weights of *network* as *path*."""
    torch.save(tensors(network.arrays), path)


def tensors(arrays: Named) -> dict[str, torch.Tensor]:
    """*arrays* as PyTorch keeps them."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
