"""ONNX file of a network."""

from pathlib import Path

from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.ops.onnx import serialize


def write(network: Network, path: Path) -> None:
    """Write *network*, with all of its outputs, as *path*."""
    path.write_bytes(serialize(network))
