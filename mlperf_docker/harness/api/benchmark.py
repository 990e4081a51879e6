"""Interface of benchmarks, with a base class of what they have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Predictor
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.model import Model, Plan
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import D, Dataset, F, Named, Payload, Report, S
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticKind, SyntheticSet

D_co = TypeVar("D_co", bound=Dataset, covariant=True)


class Answerer(Protocol):
    """Runs networks on the CPU, outside LoadGen: what a synthetic set takes its ground truth from."""

    def predictor(self, network: Network, *outputs: str, threads: int | None = None) -> Predictor:
        """A predictor that fetches the outputs called *outputs*. threads: of its own; None for all."""
        ...


class OpenDataset(Protocol[D_co]):
    """Opens and checks a data set."""

    def __call__(self, root: Path, *, limit: int | None) -> D_co:
        """Read the data set at *root*, or its first *limit* samples. Raises DatasetError."""
        ...


@dataclass(frozen=True)
class Parts(Generic[D, F]):
    """The functions of a benchmark's folder that the harness calls as they are."""

    read: Callable[[Path, ModelFormat], dict[str, NDArray[Any]]]
    """Reads weights by canonical name out of a file of any format. Raises ModelFileError."""
    open_dataset: OpenDataset[D]
    synthesize: Callable[[SyntheticKind, Path, Answerer, Report], SyntheticSet]
    """Gives the synthetic set of a kind in a cache folder, made where it is missing."""
    form: F
    """The form that the official files take their samples in."""


class Benchmark(ABC, Generic[D, F, S]):
    """Benchmark with a data set D, the form F that a model takes samples in, and preprocessed samples S."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """The metrics of an accuracy run, as images.yaml calls them."""
    server_bound_s: ClassVar[float]
    """mlperf.conf's bound on the latency of Server."""
    traced: ClassVar[tuple[str, ...]]
    """The outputs of its networks that parity compares."""
    tolerance: ClassVar[float] = 0.0
    """How far a synthetic run's score may be from the known one, in the metric's unit."""
    equal_issue: ClassVar[bool] = False
    """Whether mlperf.conf wants its samples issued equally often (sample_concatenate_permutation)."""
    dropped: ClassVar[Mapping[Scenario, Mapping[str, Any]]] = {}
    """Keys of user.conf that rounds asked for and today's mlperf.conf no longer sets."""

    parts: Parts[D, F]

    def read(self, path: Path, format: ModelFormat) -> dict[str, NDArray[Any]]:  # noqa: A002
        """Weights by canonical name out of a file of any format. Raises ModelFileError."""
        return self.parts.read(path, format)

    def open_dataset(self, root: Path, *, limit: int | None) -> D:
        """Read and check the data set at *root*, or its first *limit* samples. Raises DatasetError."""
        return self.parts.open_dataset(root, limit=limit)

    def synthesize(self, kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """The synthetic set in *cache*, made where it is missing. Raises UsageError if it cannot be so large."""
        return self.parts.synthesize(kind, cache, answerer, report)

    def default_form(self, official: ModelFormat | None) -> F:  # noqa: ARG002
        """The form that the official file of a format takes, None without one, for preprocessing ahead of a run."""
        return self.parts.form

    def plan(self, path: Path, device: Device, shares: Sequence[int]) -> Plan[F, S] | None:  # noqa: ARG002
        """Where the parts of the model in *path* will be, if it may be larger than memory; None for other models.

        shares: instances on each device, all of which get the same plan. Raises DeviceMemoryError, before the file is
        read, where they do not fit.
        """
        return None

    def configured(self, options: ModelOptions) -> "Benchmark[D, F, S]":
        """The benchmark with the options that images.yaml declares for it. Raises UsageError if it has none."""
        for name in options.names:
            raise UsageError(f"{self.name} has no option --{name}")
        return self

    def convert_data(self, source: Path, output: Path, report: Report) -> Mapping[str, Any]:  # noqa: ARG002
        """Make the data set of the files in *source*; give facts for people. Raises DatasetError.

        Raises UsageError where the data set is used as it is.
        """
        raise UsageError(f"the data set of {self.name} is used as it is")

    def stored_types(self, names: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002
        """The type that weights get in a converted file, for those of *names* whose type changes."""
        return {}

    @abstractmethod
    def payload(self, dataset: D) -> Payload:
        """The payload of the data set's samples."""

    @abstractmethod
    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:
        """Batch sizes worth trying on *device*, ascending."""

    @abstractmethod
    def native(self, path: Path, format: ModelFormat) -> Model[F, S]:  # noqa: A002
        """The model in an official graph that a backend runs as it is."""

    @abstractmethod
    def network(self, arrays: Named, source: str) -> Model[F, S]:
        """The model around weights with canonical names, each checked. Raises ModelFileError with every difference."""

    @abstractmethod
    def verify(self, dataset: D, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Read every sample completely; give facts for people. Raises DatasetError, naming what is damaged."""

    @abstractmethod
    def preprocess(self, dataset: D, form: F, cache: Path, *, workers: int, report: Report) -> S:
        """Preprocessed samples, made where the cache lacks them. Raises DatasetError."""

    @abstractmethod
    def score(self, log: Path, dataset: D, samples: S, *, part: bool = False) -> Scored:
        """The scores that an mlperf_log_accuracy.json shows.

        samples: what `preprocess` gave, which may hold the truth as the answers must have it. part: whether the log has
        a part of the samples, as that of a compliance run.
        """

    @abstractmethod
    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """The scores that the first *count* synthetic samples must have, in the order of *metrics*."""

    @abstractmethod
    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Compare the traced outputs of two backends, (samples, …) each."""
