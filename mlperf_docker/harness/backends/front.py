"""Predictors of networks whose first step runs on the host."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numpy.typing import DTypeLike, NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.backend import Arrays, LoadRequest, Predictor
from mlperf_docker.harness.api.network import Network, Prepare

Allocate = Callable[[tuple[int, ...], DTypeLike, Device], NDArray[Any]]


class FrontedPredictor:
    """The host's part and then the framework's."""

    def __init__(self, inner: Predictor, prepare: Prepare) -> None:
        self._inner, self._prepare = inner, prepare

    def predict(self, inputs: Arrays) -> Arrays:
        """Outputs for a batch of samples."""
        return self._inner.predict(self._prepare(inputs))

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Where the framework computed its part."""
        return self._inner.prove(self._prepare(inputs))


def fronted(request: LoadRequest, inner: Predictor, allocate: Allocate) -> Predictor:
    """*inner*, behind the host's part of the network where it has one."""
    if not isinstance(request.source, Network) or request.source.front is None:
        return inner
    room = partial(_allocate, allocate, request.device)
    return FrontedPredictor(inner, request.source.front.open(request.threads, room))


def _allocate(allocate: Allocate, device: Device, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    return allocate(shape, dtype, device)
