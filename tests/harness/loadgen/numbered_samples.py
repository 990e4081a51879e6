"""Samples for LoadGen tests: sample n is the number n."""

from collections.abc import Sequence

import numpy as np

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined


class Numbers:
    """Sample n is the number n."""

    lengths = None
    joined = Joined.PADDED

    def __init__(self, count: int) -> None:
        self.count = count

    def load(self, indices: Sequence[int]) -> Arrays:
        return (np.array(indices, dtype=np.float32).reshape(-1, 1),)
