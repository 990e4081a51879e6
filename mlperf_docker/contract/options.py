"""Options of commands as data, each declared once: the host's command line and the harness's are made from them.

A class of options is a frozen dataclass whose fields are made by `option`; name and type are the field's own. A new
option of `run` is a field of RunOptions: both command lines have it, and the harness finds it in its options.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.contract.words import ComplianceTest, Mode, Precision, Scenario, SyntheticLabels, SyntheticSize

if TYPE_CHECKING:
    import argparse

_METADATA = "option"


class Bounds(NamedTuple):
    """The least and the greatest value of a number."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"from {self.least:g} to {self.most:.10g}"


COUNT = Bounds(1, (1 << 31) - 1)
"""Of what is counted: frameworks have no more than 32 bits for some of it, and LoadGen reads more as something else."""
SECONDS = Bounds(0.001, 1e9)
"""Of durations: LoadGen counts nanoseconds in 64 bits."""
RATE = Bounds(0.001, 1e12)
"""Of queries or samples a second."""
SEED = Bounds(0, (1 << 64) - 1)
"""Of random numbers: LoadGen has 64 bits for each."""


class Option(NamedTuple):
    """Option of a command."""

    name: str
    """The name of its field."""
    kind: type
    """Type of a value: str, int, float, Path or an enum; bool for what is on or off, off unless it is named."""
    default: Any
    help: str
    """For the user of `mlperf-docker`, and of the harness."""
    metavar: str | None = None
    short: str | None = None
    """One letter with a hyphen, on the host's command line."""
    spelling: str | None = None
    """The option on a command line, if it is not the field's name."""
    called: str | None = None
    """What messages call a word that it does not know, if that is not the field's name."""
    bounds: Bounds | None = None
    required: bool = False
    folder: bool = False
    """Whether it is a mount point."""
    unsaid: bool = False
    """Whether it is named only where it is another than usual, as mount points are."""
    positional: bool = False
    """Whether it stands without a name, once or several times."""
    only_harness: bool = False
    """Whether the host has no such option of its own, as it chooses the value or leaves it to the harness."""

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.spelling or self.name.replace('_', '-')}"

    @property
    def noun(self) -> str:
        """What messages call its value."""
        return self.called or self.name

    def refusal(self, value: object) -> str | None:
        """Why *value* cannot be taken, or None if it can."""
        if self.bounds and isinstance(value, int | float) and not self.bounds.least <= value <= self.bounds.most:
            return f"{value} is not {self.bounds}"
        return None

    def words(self, value: object) -> Iterator[str]:
        """The words of a command line that give *value*; none for what is as it is without."""
        if self.positional and isinstance(value, tuple):
            yield from map(str, value)
        elif self.kind is bool:
            yield from (self.flag,) if value else ()
        elif value is not None and not ((self.folder or self.unsaid) and value == self.default):
            yield f"{self.flag}={value}"

    def parse(self, text: str) -> Any:  # noqa: ANN401  # of self.kind
        """The value of *text*. Raises argparse.ArgumentTypeError."""
        import argparse  # `mlperf-docker --help` does without

        try:
            value = self.kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"invalid {self.kind.__name__} value: {text!r}") from error
        refusal = self.refusal(value)
        if refusal:
            raise argparse.ArgumentTypeError(refusal)
        return value

    def add_to(self, parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
        """Declare it to *parser*."""
        help = f"{self.help} Default: {self.default}." if self.folder else self.help  # noqa: A001
        taken: dict[str, Any] = {"metavar": self.metavar, "help": help}
        if self.positional:
            parser.add_argument(self.name, nargs="+", type=self.parse, **taken)
            return
        taken |= {"dest": self.name, "default": self.default, "required": self.required}
        if self.kind is bool:
            parser.add_argument(self.flag, dest=self.name, action="store_true", help=help)
        elif issubclass(self.kind, Enum):
            parser.add_argument(self.flag, type=str, choices=[str(word.value) for word in self.kind], **taken)
        else:
            parser.add_argument(self.flag, type=self.parse, **taken)


@dataclass(frozen=True)
class Declared:
    """An option that only one model has, as images.yaml declares it for a command of the harness."""

    name: str
    """Without its dashes: `max-ind-range`."""
    choices: tuple[str, ...] = ()
    """The words that it takes; empty if it takes a whole number."""
    least: int = 1
    """The least number that it takes."""

    def option(self, help: str = "", metavar: str | None = None) -> Option:  # noqa: A002  # as argparse and typer call it
        """The option as both command lines take it."""
        words: Any = StrEnum(self.name, {word: word for word in self.choices}) if self.choices else None
        return Option(
            name=self.name.replace("-", "_"),
            kind=words or int,
            default=None,
            help=help,
            metavar=metavar,
            called=f"value of --{self.name}",
            bounds=None if words else Bounds(self.least, COUNT.most),
        )


def switch(help: str) -> Any:  # noqa: A002, ANN401  # a field
    """A field that is on or off: off unless it is named."""
    return option(default=False, help=help)


def option(
    default: Any = dataclasses.MISSING,  # noqa: ANN401  # of the field's type
    *,
    help: str,  # noqa: A002  # as argparse and typer call it
    **facts: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401  # as dataclasses.field
    """A field that is an option; without *default* it has to be given."""
    return field(default=default, metadata={_METADATA: {"help": help, **facts}})


def declared(kind: type) -> tuple[Option, ...]:
    """The options that the fields of the dataclass *kind* are; other fields are none."""
    hints = typing.get_type_hints(kind)
    return tuple(
        Option(
            name=each.name,
            kind=_type(hints[each.name]),
            default=None if each.default is dataclasses.MISSING else each.default,
            required=each.default is dataclasses.MISSING,
            **each.metadata[_METADATA],
        )
        for each in dataclasses.fields(kind)
        if _METADATA in each.metadata
    )


def _type(annotation: Any) -> type:  # noqa: ANN401
    """The type of a value, of an annotation like `int`, `int | None` or `tuple[Path, ...]`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple):
        (annotation,) = (each for each in typing.get_args(annotation) if each not in (types.NoneType, ...))
    found: type = annotation
    return found


def arguments(options: object) -> Iterator[str]:
    """The words of a command line that give *options*."""
    for each in declared(type(options)):
        yield from each.words(getattr(options, each.name))


def values(kind: type, parsed: "argparse.Namespace") -> dict[str, Any]:
    """The values of the options of *kind* by field, out of what a parser with them *parsed*."""
    found = {each.name: (each, getattr(parsed, each.name)) for each in declared(kind)}
    return {name: _typed(option, value) for name, (option, value) in found.items()}


def _typed(option: Option, value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return tuple(value)
    return option.kind(value) if value is not None and issubclass(option.kind, Enum) else value


def refusals(options: object) -> Iterator[str]:
    """Why values of *options* cannot be taken, each with its option."""
    for each in declared(type(options)):
        refusal = each.refusal(getattr(options, each.name))
        if refusal:
            yield f"{each.flag} {refusal}"


def synthetic_samples() -> Any:  # noqa: ANN401  # a field
    """An option for the number of samples of a synthetic set."""
    return option(None, help="Samples of the synthetic set. Default: that of its size.", metavar="N", bounds=COUNT)


def synthetic_labels() -> Any:  # noqa: ANN401  # a field
    """An option for the ground truth of a synthetic set."""
    help = "Ground truth of the synthetic set: a known share of it damaged, or whole, which reaches the targets."  # noqa: A001
    return option(SyntheticLabels.DAMAGED, help=help, metavar="LABELS", called="kind of labels", unsaid=True)


def _seed(use: str) -> Any:  # noqa: ANN401  # a field
    """An option for a seed of LoadGen's, which is that of a round."""
    help = f"Seed of {use}. Default: mlperf.conf's."  # noqa: A001
    return option(None, help=help, metavar="SEED", bounds=SEED, only_harness=True)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a LoadGen test. None: chosen by the harness."""

    precision: Precision = option(Precision.FP32, help="fp32 or int8.", short="-p")
    scenario: Scenario = option(Scenario.OFFLINE, help="SingleStream, MultiStream, Server or Offline.")
    mode: Mode = option(Mode.PERFORMANCE, help="performance or accuracy.")
    compliance: ComplianceTest | None = option(
        None,
        help="A performance run under the settings of a compliance test, TEST01, TEST04 or TEST05, and its verdict.",
        metavar="TEST",
        called="compliance test",
    )
    synthetic: SyntheticSize | None = option(
        None,
        help="Synthetic data and weights: tiny or full. Needs no download.",
        metavar="SIZE",
        called="synthetic size",
    )
    synthetic_samples: int | None = synthetic_samples()
    synthetic_labels: SyntheticLabels = synthetic_labels()
    samples: int | None = option(None, help="Use only the first N samples.", metavar="N", bounds=COUNT)
    min_duration_s: float | None = option(
        None,
        help="Default: the benchmark's own 600 s.",
        metavar="SECONDS",
        spelling="min-duration",
        bounds=SECONDS,
    )
    target_qps: float | None = option(
        None, help="Server: queries per second. Offline: the expected samples per second.", metavar="Q", bounds=RATE
    )
    target_latency_ms: int | None = option(
        None,
        help="Server: the latency bound. Default: mlperf.conf's.",
        metavar="MS",
        spelling="target-latency",
        bounds=COUNT,
    )
    batch_size: int | None = option(None, help="Largest batch. Default: measured.", metavar="N", bounds=COUNT)
    instances: int | None = option(
        None, help="Copies of the model side by side. Default: 1, on GPUs one on each.", metavar="N", bounds=COUNT
    )
    threads_per_instance: int | None = option(None, help="Threads of each copy.", metavar="T", bounds=COUNT)
    workers: int | None = option(
        None, help="Preprocessing processes. Default: the cores.", metavar="N", bounds=COUNT, only_harness=True
    )
    trace: bool = switch("Write LoadGen's trace log too: up to 700 bytes for each query.")
    qsl_rng_seed: int | None = _seed("which samples are loaded")
    sample_index_rng_seed: int | None = _seed("which samples a query has")
    schedule_rng_seed: int | None = _seed("when queries of Server arrive")
    min_query_count: int | None = option(
        None,
        help="The fewest queries, in Offline samples, also of a short run. Default: mlperf.conf's.",
        metavar="N",
        bounds=COUNT,
        only_harness=True,
    )
    most_waiting: float | None = option(
        None,
        help="Server: end the run, INVALID, when as many queries wait as come in so many times the latency bound.",
        metavar="BOUNDS",
        bounds=Bounds(1, 1e6),
        only_harness=True,
    )
    model_options: ModelOptions = field(default_factory=ModelOptions)
    """Those that images.yaml declares for the model."""

    def contradictions(self) -> Iterator[str]:
        """Why these options cannot be taken together."""
        if (self.instances or 1) > 1 and self.scenario in (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM):
            yield f"{self.scenario} has one query at a time: --instances must be 1"
        if self.target_latency_ms is not None and self.scenario is not Scenario.SERVER:
            yield f"{self.scenario} has no bound on latency: --target-latency is for Server"
        if self.synthetic is None and self.synthetic_samples is not None:
            yield "--synthetic-samples is for synthetic data: give --synthetic too"
        if self.synthetic is None and self.synthetic_labels is not SyntheticLabels.DAMAGED:
            yield "--synthetic-labels is for synthetic data: give --synthetic too"
        if self.synthetic_samples is not None and self.samples is not None:
            yield "--synthetic-samples and --samples exclude each other: a set of any size needs no part of it"
