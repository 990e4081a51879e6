"""A model as its file makes it: parts, interface, postprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import Predictor
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Allocate, Form, Postprocess, Samples


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
    format: ModelFormat | None
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
