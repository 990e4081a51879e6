"""What the harness asks of a benchmark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.backends.base import Arrays, Predictor
from mlperf_docker.harness.interface import Interface
from mlperf_docker.harness.names import Device, Format, Joined, Scenario, SyntheticSize
from mlperf_docker.harness.network import Network

Report = Callable[[int, int, str], None]
"""Called with done, total and unit while a step works."""

Dataset = Any
"""A benchmark's own data set; the harness only hands it from one method of the benchmark to the next."""

Form = Any
"""How a benchmark's samples must be prepared for a model (numerics, layout): its own affair, handed on likewise."""

Named = Mapping[str, NDArray[Any]]
"""Arrays by name."""

Postprocess = Callable[[Arrays, Sequence[int], NDArray[Any]], Sequence[int] | None]
"""Writes the payloads of a batch: outputs and sample numbers of the batch, and the rows (batch, payload.width) to fill.

Gives the number of values in each payload, or None where every row is full."""


def write_rows(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int]:  # noqa: ARG001
    """Payloads out of values (n, longest), each row filled up, and how many count of each, (n,)."""
    values, lengths = outputs
    out[:, : values.shape[1]] = values
    return [int(length) for length in lengths]


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes that a sample answers with: up to *width* values of *dtype*.

    slow: making them takes long enough to be worth doing while the backend works on the next batch.
    """

    dtype: DTypeLike
    width: int
    slow: bool = False

    @property
    def bytes(self) -> int:
        """Of the longest answer."""
        return self.width * np.dtype(self.dtype).itemsize


Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]
"""Gives uninitialised memory that a backend reads samples from without a copy, or with a quick one."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a short measurement chose. batch: parts of samples in one call of the model; sample_s: seconds a sample."""

    batch: int
    sample_s: float


class Whole(Protocol):
    """Predictors of whole samples around those that run networks on parts of them: windows of a volume, steps in time.

    predictors: one around each instance. Their inputs are what `Samples.load` gives, their outputs what the model's
    postprocess takes.
    """

    predictors: tuple[Predictor, ...]

    def tune(self, batch: int | None) -> Tuned | None:
        """Choose how many parts go into one call (*batch* of them, if given), after the device was proved.

        None: batches of samples are to be measured, as for a model without parts.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where whole samples are predicted. threads: that a predictor's own work may take, beside the model's."""

    device: Device
    threads: int
    allocate: Allocate


@dataclass(frozen=True, slots=True)
class Part:
    """What one predictor runs: an official graph or a network, the inputs that it takes and the outputs to fetch."""

    source: Path | Network
    interface: Interface


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its file makes it: what runs, what it takes, and what its outputs mean.

    source: an official graph (with its format), or a network made of weights. variant: which of the benchmark's models
    this is, for people. form: how its samples must be prepared. for_samples: makes the postprocessing that has to know
    the samples of a run; None where `postprocess` serves all. beside: further parts of a model that is not one graph.
    around: makes predictors of samples out of those of the parts, *source*'s first, for each instance. memory: bytes
    that so many instances need beside the network's own, and what for. batch_bytes: that each part of a batch takes,
    where parts are not samples or their inputs are made while the test runs; None where they are what is loaded.
    """

    source: Path | Network
    format: Format | None
    interface: Interface
    variant: str
    form: Form
    postprocess: Postprocess
    for_samples: "Callable[[Samples], Postprocess] | None" = None
    beside: tuple[Part, ...] = ()
    around: "Callable[[Sequence[Sequence[Predictor]], Any, Surroundings], Whole] | None" = None
    memory: "Callable[[Any, int], tuple[int, str]] | None" = None
    batch_bytes: "Callable[[Any], int] | None" = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that has to be loaded."""
        return (Part(self.source, self.interface), *self.beside)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A score. exact: the value must be the target itself (synthetic runs know it), not just reach it.

    tolerance: how far an exact score may be off; 0.0 still forgives rounding.
    """

    metric: str
    value: float
    target: float | None
    exact: bool
    line: str
    tolerance: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the target is met; without a target every score passes."""
        if self.target is None:
            return True
        return abs(self.value - self.target) <= self.tolerance + 1e-6 if self.exact else self.value >= self.target


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """A synthetic data set in the official layout, its weights, and what is known about it.

    data: its folder; weights: a safetensors file with canonical names.
    """

    data: Path
    weights: Path
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parity:
    """How two backends' outputs on the same samples differ.

    largest_difference: of any value, relative to the largest value of its tensor. agreement: share of decisions
    (labels, detections) that are the same.
    """

    largest_difference: float
    agreement: float


class Samples(Protocol):
    """Preprocessed samples on disk."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Where samples differ in length: that of each. Else None.

        It is along the second axis of all tensors, along the first where samples are concatenated, and along none of
        them where samples are apart.
        """
        ...

    @property
    def joined(self) -> Joined:
        """How samples of different length become a batch."""
        ...

    def load(self, indices: Sequence[int]) -> Arrays:
        """Input tensors of these samples, in this order, contiguous and ready for the backend.

        Samples of different length are filled up behind to that of the longest of all, or concatenated.
        """
        ...


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

    def native(self, path: Path, format: Format) -> Model:  # noqa: A002
        """The model in an official graph that a backend runs as it is."""
        ...

    def read(self, path: Path, format: Format) -> dict[str, NDArray[Any]]:  # noqa: A002
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


class Plan(Protocol):
    """Where the parts of a model that may be larger than memory will be."""

    @property
    def lines(self) -> Sequence[str]:
        """The same for people: what is where, and how much."""
        ...

    def place(self, model: Model) -> Model:
        """The model, its parts placed like this."""
        ...


@runtime_checkable
class Tabled(Protocol):
    """A benchmark whose weights are mostly tables that samples look rows up in."""

    def is_table(self, name: str) -> bool:
        """Whether the weight called *name* is a table."""
        ...

    def plan(self, path: Path, device: Device, shares: Sequence[int]) -> Plan:
        """Where the tables in *path* will be. Raises DeviceMemoryError, before they are read, where they do not fit.

        shares: instances on each device, all of which get the same plan.
        """
        ...

    def capped(self, rows: int) -> Benchmark:
        """The benchmark with no more than the first *rows* of each table; ids wrap at that number."""
        ...


@runtime_checkable
class Raw(Protocol):
    """A benchmark whose data set has to be made of other files, once."""

    def convert_data(self, source: Path, output: Path, *, days: int | None, report: Report) -> Mapping[str, Any]:
        """Make it of the files in *source*; give facts for people. Raises DatasetError.

        days: how many of the log; None for all.
        """
        ...
