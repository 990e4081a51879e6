"""Reply of `run`: what the harness prints as its result, and the keys of result.json."""

from dataclasses import dataclass
from typing import Any

from mlperf_docker.contract.scores import Bound, Sense
from mlperf_docker.contract.words import ComparedBy, ComplianceTest, Mode, Precision, Scenario, SyntheticSize


@dataclass(frozen=True)
class Figure:
    """The scenario's figure, under LoadGen's own name."""

    name: str
    value: float | None
    """None if it could not be measured."""
    unit: str


@dataclass(frozen=True)
class Latencies:
    """Mean and percentiles of a sample (of a query in MultiStream), in nanoseconds."""

    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True)
class Score:
    """Score of an accuracy run, with its targets."""

    metric: str
    value: float | None
    target: Bound | None
    """The bound of the benchmark's usual level; of synthetic data the value that is known beforehand."""
    passed: bool
    """Whether the target is met."""
    unit: str = ""
    sense: Sense = Sense.AT_LEAST
    """How the value is compared with the targets."""
    reference: float | None = None
    """The value of the reference implementation; None for synthetic data."""
    high_target: Bound | None = None
    """The bound of the benchmark's 99.9 % level, None where there is none."""
    high: bool | None = None
    """Whether high_target is met, None where there is none."""


@dataclass(frozen=True)
class Scores(Score):
    """The decisive score, the first that failed or else the first, and all of them.

    passed, high: of all scores together.
    """

    scores: tuple[Score, ...] = ()


@dataclass(frozen=True)
class AnswersCompared:
    """Answers of a compliance run beside those of the accuracy run to the same samples."""

    compared: int
    """Answers to samples that the accuracy run answered too."""
    differing: int
    """Answers that are not the accuracy run's, byte for byte."""
    first_element_differing: int
    """Answers whose first value is another."""
    unknown: int
    """Answers to samples that the accuracy run did not answer."""
    largest_difference: float | None
    """Of two values in the same place of an answer; None where only lengths differ, or nothing was compared."""
    path: ComparedBy
    """What decided."""
    baseline: float | None = None
    """Score of the accuracy run's answers to these samples; None where the first elements decided."""
    score: float | None = None
    """Score of the compliance run's answers; None where the first elements decided."""
    high: bool | None = None
    """Whether the scores are as close as the 99.9 % level wants them; None where the first elements decided."""


@dataclass(frozen=True)
class FiguresCompared:
    """The scenario's figure in a compliance run beside that of the performance run."""

    reference: float | None
    """Of the performance run, in the unit of `metric`; None if it could not be measured."""
    value: float | None
    """Of the compliance run."""
    ratio: float | None
    """value / reference."""
    least: float | None
    """The least ratio that passes, None where there is none."""
    most: float | None
    """The greatest ratio that passes, None where there is none."""


@dataclass(frozen=True)
class Compliance:
    """Verdict of a compliance test."""

    test: ComplianceTest
    passed: bool
    reasons: tuple[str, ...]
    """Why it is not passed, each with advice."""
    accuracy: AnswersCompared | None
    """None for a test that compares no answers."""
    performance: FiguresCompared
    performance_run: str | None = None
    """Name of the folder of the performance run; None where the harness ran by itself."""
    accuracy_run: str | None = None
    """Name of the folder of the accuracy run, None for a test that needs none."""


@dataclass(frozen=True)
class RunReply:
    """The result of a LoadGen test."""

    model: str
    backend: str
    device: str
    precision: Precision
    scenario: Scenario
    mode: Mode
    synthetic: bool
    synthetic_size: SyntheticSize | None
    valid: bool
    """LoadGen's verdict, or whether the accuracy was reached."""
    reasons: tuple[str, ...]
    """Why it is not valid, each with advice."""
    metric: Figure | None
    """Of a performance run."""
    latency_ns: Latencies | None
    samples: int
    """Samples that were answered."""
    accuracy: Scores | None
    """Of an accuracy run."""
    versions: dict[str, str]
    device_proof: dict[str, Any]
    settings: dict[str, Any]
    """What LoadGen and the harness were told, or measured."""
    seeds: dict[str, Any]
    """LoadGen's, which tell the round."""
    model_file: dict[str, Any] | None
    """Name, checksum and variant."""
    loadgen_errors: tuple[str, ...]
    compliance: Compliance | None = None
    """Of a compliance run."""
