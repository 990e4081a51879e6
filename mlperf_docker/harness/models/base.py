"""What the harness asks of a benchmark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.backends.base import Arrays, Backend, Interface
from mlperf_docker.harness.names import SyntheticSize

Report = Callable[[int, int, str], None]
"""Called with done, total and unit while a step works."""


Dataset = Any
"""A benchmark's own data set; the harness only hands it from one method of the benchmark to the next."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes that a sample answers with: *width* values of *dtype*."""

    dtype: DTypeLike
    width: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A score. exact: the value must be the target itself (synthetic runs know it), not just reach it."""

    metric: str
    value: float
    target: float | None
    exact: bool
    line: str

    @property
    def passed(self) -> bool:
        """Whether the target is met; without a target every score passes."""
        if self.target is None:
            return True
        return abs(self.value - self.target) < 1e-6 if self.exact else self.value >= self.target


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """A synthetic data set in the official layout, its weights, and what is known about it.

    wrong: sample numbers whose label is wrong on purpose, so that the known accuracy is neither 0 nor 100.
    """

    data: Path
    weights: Path
    wrong: frozenset[int]
    facts: Mapping[str, Any]


class Samples(Protocol):
    """Preprocessed samples on disk."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def load(self, indices: Sequence[int]) -> Arrays:
        """Input tensors of these samples, in this order, contiguous and ready for the backend."""
        ...


class Benchmark(Protocol):
    """One benchmark. server_bound_s: mlperf.conf's bound on Server's latency."""

    name: str
    loadgen_key: str
    metric: str
    payload: Payload
    interface: Interface
    server_bound_s: float

    def open_dataset(self, root: Path, *, limit: int | None) -> Dataset:
        """Read and check the data set at *root*, or its first *limit* samples. Raises DatasetError."""
        ...

    def preprocess(self, dataset: Dataset, cache: Path, *, workers: int, report: Report) -> Samples:
        """Preprocessed samples, made where the cache lacks them. Raises DatasetError."""
        ...

    def postprocess(self, outputs: Arrays, out: NDArray[Any]) -> None:
        """Write the payloads of a batch into *out*, (batch, payload.width)."""
        ...

    def score(self, log: Path, dataset: Dataset) -> tuple[float, str]:
        """The accuracy that an mlperf_log_accuracy.json shows, and upstream's line for accuracy.txt."""
        ...

    def synthesize(
        self, size: SyntheticSize, cache: Path, backend: Backend, *, threads: int, report: Report
    ) -> SyntheticSet:
        """The synthetic set in *cache*, made where it is missing."""
        ...

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """The accuracy that the first *count* synthetic samples must have."""
        ...

    def graph(self, weights: Path, cache: Path, *, backend: str) -> Path:
        """A model file for *backend* from a safetensors file, through the architecture. Raises ModelFileError."""
        ...
