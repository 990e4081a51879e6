"""Result of a run: the value behind `run --json` and result.json."""

import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.result import (
    AnswersCompared,
    Compliance,
    Figure,
    FiguresCompared,
    Latencies,
    RunReply,
    Score,
    Scores,
)
from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.host.energy import Energy
from mlperf_docker.names import cell_name
from mlperf_docker.system import paths, strict_json


class _Value(BaseModel, frozen=True):
    model_config = ConfigDict(extra="allow")


# What cannot be measured is NaN here and null in JSON, which has no NaN.
_Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


_MOST_SAMPLES = 1 << 63
"""As LoadGen counts them; a damaged result may have a number that no float can hold."""


class Metric(_Value, Figure, frozen=True):
    """The scenario's figure, as LoadGen defines it."""

    value: _Number


class Latency(_Value, Latencies, frozen=True):
    """Latency of a sample (of a query in MultiStream), in nanoseconds."""

    mean: _Number
    p50: _Number
    p90: _Number
    p99: _Number

    def named(self) -> dict[str, float]:
        """Its parts by name, the mean first."""
        return {"mean": self.mean, "p50": self.p50, "p90": self.p90, "p99": self.p99}


class AccuracyScore(_Value, Score, frozen=True):
    """Score of an accuracy run, with its targets."""

    value: _Number
    target: _Number | tuple[float, float]


class ScoredAccuracy(AccuracyScore, Scores, frozen=True):
    """The decisive score, and the list of all of them."""

    scores: tuple[AccuracyScore, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _lists_its_scores(cls, value: Any) -> Any:  # noqa: ANN401  # whatever the file holds
        """Give a result of a version that had one score, and no list of them, that list."""
        return {**value, "scores": [value]} if isinstance(value, dict) and "scores" not in value else value


class ImageUsed(_Value, frozen=True):
    """The image that ran, and the base under it."""

    tag: str
    id: str
    base: str
    digest: str | None = None
    """`sha256:…` in the registry of its tag; None if never there."""


class RuntimeUsed(_Value, frozen=True):
    """The runtime of the container."""

    name: str
    version: str
    unconfined: tuple[str, ...] = ()
    """What the container was not kept from, as this runtime cannot do it."""


class ComparedAnswers(_Value, AnswersCompared, frozen=True):
    """Answers of a compliance run beside those of the accuracy run to the same samples."""


class ComparedFigures(_Value, FiguresCompared, frozen=True):
    """The scenario's figure in a compliance run beside that of the performance run."""

    @property
    def close(self) -> bool:
        """Whether the ratio is within its bounds; one that could not be measured is not."""
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        return self.ratio is not None and least <= self.ratio <= most


class ComplianceVerdict(_Value, Compliance, frozen=True):
    """Verdict of a compliance test, and the runs that it was held to."""

    accuracy: ComparedAnswers | None
    performance: ComparedFigures


class DatasetUsed(_Value, frozen=True):
    """Data set that was run on."""

    name: str
    folder: str
    identity: str
    """`sha256:…` over the names and contents of its files."""


class ModelCodeUsed(_Value, frozen=True):
    """Model code that a reference implementation imported from another folder than its checkout."""

    commit: str | None
    """None where git tells none."""
    changed: bool | None
    """Whether it has local changes; None where git does not tell."""


class HarnessUsed(_Value, frozen=True):
    """Harness of another than ours that made a run: the reference implementation out of a checkout."""

    name: str
    commit: str | None
    """The checkout's; None where git tells none."""
    changed: bool | None
    """Whether the checkout has local changes; None where git does not tell."""
    content: str | None = None
    """`sha256:…` over the benchmark's files, where the commit does not tell them all."""
    code: ModelCodeUsed | None = None
    """None where all of its code is in the checkout."""


class RequestOnRecord(_Value, frozen=True):
    """Request of a run, as far as it decides what is measured."""

    command: tuple[str, ...]
    """An equal `mlperf-docker run`, word by word."""
    source: str
    """Hash of the image's Dockerfile, locks and harness."""
    options: dict[str, Any]
    """Options that were not left open, by their names in RunOptions."""
    dataset: DatasetUsed | None
    """None for synthetic data."""
    model_file: str | None
    """The file that was named; None for the official one, or synthetic weights."""
    user_conf: str | None
    """`sha256:…` of the user.conf that was named, or None."""
    limits: dict[str, Any]
    """Limits of the container, by their names in docker."""
    profile: dict[str, Any] | None
    """The tuned profile: its name, its digest and its options; None without one."""


class RoundVerdict(_Value, frozen=True):
    """Verdict on a run for a round of MLPerf Inference: whether it counts, and what is in the way."""

    name: str
    """The round, as `v6.1`."""
    benchmarks: tuple[str, ...] = ()
    """The benchmarks that it counts for, as the submission checker names them."""
    counts: bool
    """Whether it counts for any."""
    why: tuple[str, ...] = ()
    """Why it does not count, for all benchmarks of the model or for the one that is named."""


class MeasuredEnergy(_Value, Energy, frozen=True):
    """Energy of all processors of the host during LoadGen's phase."""


class RunResult(_Value, RunReply, frozen=True):
    """Result of `run --json` and result.json: the harness's reply, and what only the host knows.

    These are all the keys that are written today; those of other versions are kept as they are.
    """

    model: Annotated[str, Field(max_length=100)]
    backend: str
    device: Device
    synthetic_size: SyntheticSize | None = None
    reasons: tuple[str, ...] = ()
    metric: Metric | None
    latency_ns: Latency | None
    accuracy: ScoredAccuracy | None
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: dict[str, Any] = Field(default_factory=dict)
    model_file: dict[str, Any] | None = None
    loadgen_errors: tuple[str, ...] = ()
    compliance: ComplianceVerdict | None = None
    round: RoundVerdict | None = None
    """None in results of earlier versions."""
    image: ImageUsed | None = None
    harness: HarnessUsed | None = None
    """None for our own."""
    runtime: RuntimeUsed | None = None
    """None in results of earlier versions."""
    request: RequestOnRecord | None = None
    """None in results of earlier versions."""
    results_dir: str = ""
    """The folder that it is in now."""
    duration_s: float | None = None
    """Seconds in the container."""
    host: dict[str, Any] | None = None
    """The host that ran the container; `host.facts.read` makes HostFacts of it. None in results of earlier versions."""
    energy: MeasuredEnergy | None = None
    """None where the host has no counters that can be read."""

    @property
    def joules_per_sample(self) -> float | None:
        """The energy of its processors for a sample; None where it was not measured, or nothing was answered."""
        return self.energy.joules / self.samples if self.energy and 0 < self.samples < _MOST_SAMPLES else None

    @property
    def cell(self) -> str:
        """The name of its ImageSpec."""
        return cell_name(self.model, self.backend, self.device)

    @property
    def harness_name(self) -> str:
        """The harness in one word: `own`, or that of the reference implementations."""
        return self.harness.name if self.harness else "own"

    @property
    def data(self) -> str:
        """What it ran on: real, or synthetic of which size."""
        return " ".join(("synthetic", self.synthetic_size or "")).strip() if self.synthetic else "real"

    @property
    def kind(self) -> str:
        """What it was made for: a mode, or a compliance test."""
        return self.compliance.test if self.compliance else self.mode

    @property
    def name(self) -> str:
        """The name of its folder, which the commands find it by."""
        return Path(self.results_dir).name

    @property
    def started(self) -> dt.datetime | None:
        """When it began, UTC, as its folder's name tells; None where somebody gave the folder another name."""
        return paths.time_of(self.name)

    @property
    def age_key(self) -> tuple[float, str]:
        """What sorts the oldest to the front; those of unknown age count as older than all others."""
        return self.started.timestamp() if self.started else 0.0, self.name

    def to_json(self) -> str:
        """One JSON object, readable by people too."""
        return strict_json.dumps(self.model_dump(mode="json"))
