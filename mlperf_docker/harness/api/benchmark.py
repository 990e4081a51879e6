"""What the harness asks of a benchmark."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario, SyntheticSize
from mlperf_docker.harness.api.backend import Predictor
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Dataset, Form, Named, Payload, Report, Samples
from mlperf_docker.harness.api.scores import Parity, SyntheticSet


class Answerer(Protocol):
    """Runs networks on the CPU, outside LoadGen: what a synthetic set takes its ground truth from."""

    def predictor(self, network: Network, *outputs: str) -> Predictor:
        """A predictor that fetches the outputs called *outputs*."""
        ...


class Benchmark(Protocol):
    """One benchmark.

    server_bound_s: mlperf.conf's bound on Server's latency. tolerance: how far a synthetic run's score may be from the
    known one, in the metric's unit. traced: the outputs of its networks that parity compares.
    """

    name: str
    loadgen_key: str
    metric: str
    server_bound_s: float
    tolerance: float
    traced: tuple[str, ...]

    def payload(self, dataset: Dataset) -> Payload:
        """The payload of the data set's samples."""
        ...

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:
        """Batch sizes worth trying on *device*, ascending."""
        ...

    def native(self, path: Path, format: ModelFormat) -> Model:  # noqa: A002
        """The model in an official graph that a backend runs as it is."""
        ...

    def read(self, path: Path, format: ModelFormat) -> dict[str, NDArray[Any]]:  # noqa: A002
        """Weights by canonical name out of a file of any format. Raises ModelFileError."""
        ...

    def network(self, arrays: Named, source: str) -> Model:
        """The model around weights with canonical names, each checked. Raises ModelFileError with every difference."""
        ...

    def default_form(self, backend: str) -> Form:
        """The form that the official file of *backend* takes, for preprocessing ahead of a run."""
        ...

    def open_dataset(self, root: Path, *, limit: int | None) -> Dataset:
        """Read and check the data set at *root*, or its first *limit* samples. Raises DatasetError."""
        ...

    def verify(self, dataset: Dataset, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Read every sample completely; give facts for people. Raises DatasetError, naming what is damaged."""
        ...

    def preprocess(self, dataset: Dataset, form: Form, cache: Path, *, workers: int, report: Report) -> Samples:
        """Preprocessed samples, made where the cache lacks them. Raises DatasetError."""
        ...

    def score(self, log: Path, dataset: Dataset, samples: Samples) -> tuple[float, str]:
        """The accuracy that an mlperf_log_accuracy.json shows, and upstream's line for accuracy.txt.

        samples: what `preprocess` gave, which may hold the truth as the answers must have it.
        """
        ...

    def synthesize(self, size: SyntheticSize, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """The synthetic set in *cache*, made where it is missing."""
        ...

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """The accuracy that the first *count* synthetic samples must have."""
        ...

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Compare the traced outputs of two backends, (samples, …) each."""
        ...
