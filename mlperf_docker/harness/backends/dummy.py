"""A backend that does no work: it shows what LoadGen and the harness cost by themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays, LoadRequest, Predictor
from mlperf_docker.harness.names import Device

LARGEST_BATCH = 1024


class NullPredictor:
    """Answers every batch with the same preset int64 values, one a sample."""

    def __init__(self) -> None:
        self._answer: NDArray[np.int64] = np.ones(LARGEST_BATCH, dtype=np.int64)

    def predict(self, inputs: Arrays) -> Arrays:
        """Ones, as many as there are samples."""
        return (self._answer[: len(inputs[0])],)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Tell that nothing is computed anywhere."""
        return {"provider": "none", "samples": len(inputs[0])}


class Dummy:
    """The backend of `NullPredictor`; needs no model file."""

    name = "dummy"

    def versions(self) -> Mapping[str, str]:
        """No package stands behind it."""
        return {}

    def check_device(self, device: Device) -> None:
        """Every device does."""

    def load(self, request: LoadRequest) -> Predictor:  # noqa: ARG002
        """Ignore the file."""
        return NullPredictor()
