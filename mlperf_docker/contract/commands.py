"""Commands of the harness: arguments in, a reply out. The host gives them to a container, the harness carries them out.

A command is a dataclass of its options (see options.py), with its word on the command line and the class of its reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from mlperf_docker.contract import json_values, places
from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.contract.options import (
    COUNT,
    RunOptions,
    arguments,
    option,
    synthetic_labels,
    synthetic_samples,
)
from mlperf_docker.contract.result import RunReply
from mlperf_docker.contract.words import SyntheticLabels, SyntheticSize

R = TypeVar("R")


def _folder(place: str, help: str) -> Any:  # noqa: A002, ANN401  # a field
    """An option for a folder, which is a mount point in a container."""
    return option(Path(place), help=help, metavar="DIR", folder=True)


def _data() -> Any:  # noqa: ANN401
    return _folder(places.DATA, "The data set.")


def _cache() -> Any:  # noqa: ANN401
    return _folder(places.CACHE, "Preprocessed and synthetic data.")


def _results(help: str) -> Any:  # noqa: A002, ANN401
    return _folder(places.RESULTS, help)


def _samples() -> Any:  # noqa: ANN401
    return option(None, help="Only the first N samples.", metavar="N", bounds=COUNT)


def _workers() -> Any:  # noqa: ANN401
    return option(None, help="Processes. Default: one for each processor.", metavar="N", bounds=COUNT)


def _size() -> Any:  # noqa: ANN401
    return option(SyntheticSize.TINY, help="tiny or full.")


def _model_file() -> Any:  # noqa: ANN401
    return option(help="An official file, or weights.", metavar="FILE")


class Command(Generic[R]):
    """A command of the harness; its fields are its options."""

    name: ClassVar[str]
    """Its word on the command line."""
    help: ClassVar[str]
    reply: ClassVar[type]
    """The class of its reply, R."""

    model_options: ModelOptions = ModelOptions()
    """Options that images.yaml declares for the model; commands that take such have a field of this name."""

    def argv(self) -> tuple[str, ...]:
        """The command line after the program's name."""
        return (self.name, *arguments(self), *self.model_options.arguments())

    def read(self, fields: Mapping[str, Any]) -> R:
        """The reply that *fields* are. Raises json_values.MalformedError."""
        found: R = json_values.read(self.reply, fields)
        return found


@dataclass(frozen=True, kw_only=True)
class RunCommand(RunOptions, Command[RunReply]):
    """LoadGen test."""

    name = "run"
    help = "Run one LoadGen test."
    reply = RunReply

    model_file: Path | None = option(None, help="Default: the official file in --models.", metavar="FILE")
    user_conf: Path | None = option(None, help="Your own LoadGen settings.", metavar="FILE")
    performance_run: Path | None = option(
        None, help="With --compliance: the folder of the performance run, whose settings are used.", metavar="DIR"
    )
    accuracy_run: Path | None = option(None, help="With TEST01: the folder of the accuracy run.", metavar="DIR")
    data: Path = _data()
    models: Path = _folder(places.MODELS, "Model files.")
    cache: Path = _cache()
    results: Path = _results("Result and logs.")


@dataclass(frozen=True)
class PreprocessReply:
    """Samples in the cache."""

    samples: int
    cache: Path


@dataclass(frozen=True, kw_only=True)
class PreprocessCommand(Command[PreprocessReply]):
    """A data set into the cache."""

    name = "preprocess"
    help = "Fill the cache with a preprocessed data set."
    reply = PreprocessReply

    samples: int | None = _samples()
    workers: int | None = _workers()
    data: Path = _data()
    cache: Path = _cache()


@dataclass(frozen=True)
class SynthesizeReply:
    """A synthetic data set, its weights, and facts about them."""

    data: Path
    weights: Path
    facts: dict[str, Any] = json_values.spread()


@dataclass(frozen=True, kw_only=True)
class SynthesizeCommand(Command[SynthesizeReply]):
    """A synthetic data set and weights."""

    name = "synthesize"
    help = "Make a synthetic data set and weights in the cache."
    reply = SynthesizeReply

    synthetic: SyntheticSize = _size()
    synthetic_samples: int | None = synthetic_samples()
    synthetic_labels: SyntheticLabels = synthetic_labels()
    cache: Path = _cache()


@dataclass(frozen=True)
class VerifyReply:
    """A whole data set: its folder, the count of its samples, and facts for people."""

    dataset: Path
    samples: int
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class VerifyCommand(Command[VerifyReply]):
    """A look at every sample of a data set."""

    name = "verify"
    help = "Read a whole data set and tell what is damaged."
    reply = VerifyReply

    samples: int | None = _samples()
    workers: int | None = _workers()
    data: Path = _data()


@dataclass(frozen=True)
class InspectReply:
    """Kind of a model file, and facts about it."""

    format: str
    variant: str
    """Which of the benchmark's models it is."""
    as_it_is: bool
    """Whether the backend runs the file itself, and not its weights."""
    fixed_batch: int | None
    """Samples that it takes at once; None for any number."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: dict[str, Any] = json_values.spread()


@dataclass(frozen=True, kw_only=True)
class InspectCommand(Command[InspectReply]):
    """A look at a model file."""

    name = "inspect-model"
    help = "Load a model file and tell what it is."
    reply = InspectReply

    model_file: Path = _model_file()


@dataclass(frozen=True)
class ConvertReply:
    """A model file that was written."""

    model_file: Path
    size_bytes: int
    sha256: str
    format: str
    weights: int


@dataclass(frozen=True, kw_only=True)
class ConvertCommand(Command[ConvertReply]):
    """A model file in another form."""

    name = "convert"
    help = "Convert an official file to safetensors weights, or weights to ONNX."
    reply = ConvertReply

    model_file: Path = _model_file()
    output: Path = option(help="The new file: .safetensors or .onnx.", metavar="FILE")
    model_options: ModelOptions = field(default_factory=ModelOptions)


@dataclass(frozen=True)
class ConvertDataReply:
    """A data set that was written, and facts about it."""

    output: Path
    facts: dict[str, Any] = json_values.spread()


@dataclass(frozen=True, kw_only=True)
class ConvertDataCommand(Command[ConvertDataReply]):
    """A data set out of the files that it is offered as."""

    name = "convert-data"
    help = "Make a data set out of the files that it is offered as."
    reply = ConvertDataReply

    model_options: ModelOptions = field(default_factory=ModelOptions)
    data: Path = _folder(places.DATA, "The files.")
    results: Path = _results("The data set.")


@dataclass(frozen=True)
class OutputsReply:
    """Outputs of a network for the synthetic samples, in a file."""

    backend: str
    device: str
    samples: int
    output: Path
    versions: dict[str, str]
    device_proof: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OutputsCommand(Command[OutputsReply]):
    """The raw outputs of a network."""

    name = "outputs"
    help = "Write what the network gives for the synthetic samples."
    reply = OutputsReply

    synthetic: SyntheticSize = _size()
    samples: int | None = _samples()
    output: Path = option(help="A safetensors file.", metavar="FILE")
    cache: Path = _cache()


@dataclass(frozen=True)
class Pair:
    """Difference between two files of outputs."""

    a: Path
    b: Path
    largest_difference: float
    agreement: float


@dataclass(frozen=True)
class ParityReply:
    """Differences of all pairs of files, and the worst of all."""

    pairs: tuple[Pair, ...]
    largest_difference: float
    agreement: float


@dataclass(frozen=True, kw_only=True)
class ParityCommand(Command[ParityReply]):
    """A comparison of what `outputs` wrote on several backends."""

    name = "parity"
    help = "Compare what `outputs` wrote on several backends."
    reply = ParityReply

    files: tuple[Path, ...] = option(help="What `outputs` wrote, two or more.", metavar="FILE", positional=True)
