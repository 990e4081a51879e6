"""A backend that does no work: it shows what LoadGen and the harness cost by themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.backends.base import Arrays, LoadRequest, Predictor
from mlperf_docker.harness.interface import Interface, Tensor
from mlperf_docker.harness.names import Device, Format


class NullPredictor:
    """Answers every batch with preset ones, in the shapes of the interface."""

    def __init__(self, interface: Interface) -> None:
        self._answers = tuple(_one(tensor, ragged=interface.ragged) for tensor in interface.outputs)

    def predict(self, inputs: Arrays) -> Arrays:
        """Ones, as many as there are samples."""
        count = len(inputs[0])
        return tuple([np.broadcast_to(answer, (count, *answer.shape)) for answer in self._answers])

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Tell that nothing is computed anywhere."""
        return {"provider": "none", "samples": len(inputs[0])}


def _one(tensor: Tensor, *, ragged: bool) -> NDArray[Any]:
    shape = tuple(1 if axis is None else axis for axis in (tensor.shape if ragged else tensor.shape[1:]))
    return np.ones(shape, dtype=tensor.dtype)


class Dummy:
    """The backend of `NullPredictor`; needs no model file."""

    name = "dummy"
    formats = frozenset(Format)

    def versions(self) -> Mapping[str, str]:
        """No package stands behind it."""
        return {}

    def check_device(self, device: Device) -> None:
        """Every device does."""

    def load(self, request: LoadRequest) -> Predictor:
        """Ignore the file."""
        return NullPredictor(request.interface)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:  # noqa: ARG002
        """Plain memory."""
        return np.empty(shape, dtype=dtype)
