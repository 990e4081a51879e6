"""Loaded model: parts, interface, postprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import Predictor
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Allocate, F, Postprocess, S, Samples

S_contra = TypeVar("S_contra", bound=Samples, contravariant=True)


@dataclass(frozen=True, slots=True)
class Tuned:
    """Choice of the calibration."""

    batch: int
    """Number of parts of samples in one call of the model."""
    sample_s: float
    """Seconds per sample."""


class Whole(Protocol):
    """Wrapper of per-window or per-step predictors into predictors of whole samples."""

    predictors: tuple[Predictor, ...]
    """One per instance. Inputs are those of `Samples.load`, outputs those that the model's postprocess takes."""

    def tune(self, batch: int | None) -> Tuned | None:
        """Choose how many parts go into one call (*batch* of them, if given), after the device was proved.

        None: batches of samples are to be measured, as for a model without parts.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Device, threads and memory for predictors of whole samples."""

    device: Device
    threads: int
    """Threads for a predictor's own work, beside the model's."""
    allocate: Allocate


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a model with a predictor of its own: graph or network, inputs to feed, outputs to fetch."""

    source: Path | Network
    interface: Interface


class Splitting(Protocol[S_contra]):
    """Prediction of whole samples by a model that takes parts of them: windows of a volume, steps in time."""

    def whole(self, instances: Sequence[Sequence[Predictor]], samples: S_contra, surroundings: Surroundings) -> Whole:
        """Predictors of samples, one around the predictors of the model's parts in each of *instances*."""
        ...

    def batch_bytes(self, samples: S_contra) -> int:
        """Bytes that each part of a batch takes."""
        ...

    def memory(self, samples: S_contra, instances: int) -> tuple[int, str] | None:
        """Bytes that so many instances need beside the network's own, and what for; None if few."""
        ...


@dataclass(frozen=True, slots=True)
class Model(Generic[F, S]):
    """A model as its file makes it: what runs, what it takes, and what its outputs mean."""

    source: Path | Network
    """An official graph, or a network made of weights."""
    format: ModelFormat | None
    """The format of the official graph; None for a network."""
    interface: Interface
    variant: str
    """Which of the benchmark's models this is, for people."""
    form: F
    """How its samples must be prepared."""
    postprocess_for: Callable[[S], Postprocess]
    """Makes the postprocessing for the samples of a run; `for_all` where it needs not know them."""
    beside: tuple[Part, ...] = ()
    """Further parts of a model that is not one graph."""
    splitting: Splitting[S] | None = None
    """How it predicts samples, if its inputs are parts of them; None if they are what `Samples.load` gives."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that has to be loaded."""
        return (Part(self.source, self.interface), *self.beside)


class Plan(Protocol[F, S]):
    """Placement of a model's parts that may be larger than memory."""

    @property
    def lines(self) -> Sequence[str]:
        """The same for people: what is where, and how much."""
        ...

    def place(self, model: Model[F, S]) -> Model[F, S]:
        """The model, its parts placed like this."""
        ...


def for_all(postprocess: Postprocess) -> Callable[[Samples], Postprocess]:
    """Postprocessing that is the same for all samples, as `Model.postprocess_for` has it."""
    return lambda _: postprocess
