"""3D-UNet's interface, and the network around weights."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.unet3d import CLASSES, ROI, UNetConfig, unet3d, weights_of

WINDOWS = Interface(
    (Tensor("input", "float32", (None, 1, ROI, ROI, ROI)),),
    (Tensor("output", "float32", (None, CLASSES, ROI, ROI, ROI)),),
)
"""Of the official files and of ours: windows to logits."""

FINEST = "input_block.conv1.0.weight"


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> UNetConfig:
    """The size of network that *arrays* belong to. Raises ModelFileError where it cannot be told from them."""
    filters: list[int] = []
    name = FINEST
    while name in arrays and arrays[name].ndim == 5:
        filters.append(arrays[name].shape[0])
        name = f"downsample.{len(filters) - 1}.conv1.0.weight"
    if not filters:
        raise ModelFileError(f"{source} does not hold a 3D-UNet", details=[f"missing: {FINEST}"])
    if ROI % 2 ** len(filters):
        raise ModelFileError(f"{source} halves windows of {ROI} voxels {len(filters)} times")
    return UNetConfig(tuple(filters))


def network(arrays: Mapping[str, NDArray[Any]], config: UNetConfig) -> Network:
    """The network: windows (N, 1, 128, 128, 128) to logits (N, 3, 128, 128, 128)."""

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401 (any backend's tensors)
        return (unet3d(ops, w, inputs[0], config),)

    return Network("3d-unet", WINDOWS, arrays, build)


def shapes(config: UNetConfig) -> named_weights.Shapes:
    """Names and shapes of all weights of a network of this size."""
    return named_weights.declared(lambda ops, w: weights_of(ops, w, config))


def checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Network:
    """The network around *arrays*. Raises ModelFileError with every missing, unused or misshapen one."""
    config = config_of(arrays, source)
    named_weights.check(shapes(config), arrays, source)
    return network(arrays, config)
