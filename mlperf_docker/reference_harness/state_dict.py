"""PyTorch checkpoint of a network: its weights by name."""

from pathlib import Path

import numpy as np
import torch

from mlperf_docker.harness.api.network import Network


def write(network: Network, path: Path) -> None:
    """Write the weights of *network* as *path*."""
    torch.save({name: torch.from_numpy(np.array(array)) for name, array in network.arrays.items()}, path)
