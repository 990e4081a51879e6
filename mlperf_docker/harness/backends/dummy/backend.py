"""Dummy backend: no work, so that a run measures LoadGen and the harness alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import Arrays, LoadRequest, Predictor
from mlperf_docker.harness.api.interface import Interface, Tensor


class NullPredictor:
    """Answers every batch with the same preset ones, in the shapes of the interface."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._answers = self._ones(1024)

    def predict(self, inputs: Arrays) -> Arrays:
        """Ones, as many as there are samples."""
        count = len(inputs[0])
        if count > len(self._answers[0]):
            self._answers = self._ones(count)
        return tuple([answer[:count] for answer in self._answers])

    def _ones(self, count: int) -> Arrays:
        ragged = self._interface.ragged
        return tuple(_ones(tensor, count, ragged=ragged) for tensor in self._interface.outputs)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Tell that nothing is computed anywhere."""
        return {"provider": "none", "samples": len(inputs[0])}


def _ones(tensor: Tensor, count: int, *, ragged: bool) -> NDArray[Any]:
    shape = tuple(1 if axis is None else axis for axis in (tensor.shape if ragged else tensor.shape[1:]))
    # One answer, seen as many: of large ones there would be no room for all.
    return np.broadcast_to(np.ones(shape, dtype=tensor.dtype), (count, *shape))


class Dummy:
    """The backend of `NullPredictor`; needs no model file."""

    name = "dummy"
    formats = frozenset(ModelFormat)
    computes = False
    writes = frozenset[ModelFormat]()

    def versions(self) -> Mapping[str, str]:
        """No package stands behind it."""
        return {}

    def check_device(self, device: Device) -> None:
        """Every device does."""

    def count(self, device: Device) -> int:  # noqa: ARG002
        """One of each kind."""
        return 1

    def examine(self, path: Path, format: ModelFormat, interface: Interface) -> Interface:  # noqa: A002, ARG002
        """Any file will do."""
        return interface

    def load(self, request: LoadRequest) -> Predictor:
        """Ignore the file."""
        return NullPredictor(request.interface)

    def allocate(self, shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> NDArray[Any]:  # noqa: ARG002
        """Plain memory."""
        return np.empty(shape, dtype=dtype)


BACKEND = Dummy
