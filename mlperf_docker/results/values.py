"""The result of a run: the value behind `run --json` and result.json."""

import datetime as dt
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import Mode, Precision, Scenario, SyntheticSize
from mlperf_docker.names import cell_name
from mlperf_docker.system import paths, strict_json


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


# What cannot be measured is NaN here and null in JSON, which has no NaN.
_Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class Metric(_Value):
    """The scenario's figure, as LoadGen defines it."""

    name: str
    value: _Number
    unit: str


class Latency(_Value):
    """Latency of a sample (of a query in MultiStream), in nanoseconds."""

    mean: _Number
    p50: _Number
    p90: _Number
    p99: _Number

    def named(self) -> dict[str, float]:
        """Its parts by name, the mean first."""
        return {"mean": self.mean, "p50": self.p50, "p90": self.p90, "p99": self.p99}


class Accuracy(_Value):
    """The benchmark's own score against its target."""

    metric: str
    value: _Number
    target: _Number
    passed: bool


class ImageUsed(_Value):
    """The image that ran, and the base under it. digest: `sha256:…` in the registry of its tag; None if never there."""

    tag: str
    id: str
    base: str
    digest: str | None = None


class Submission(_Value):
    """Whether the run could be part of a closed submission, and what is in the way."""

    closed_ready: bool
    why: tuple[str, ...] = ()


class RunResult(_Value):
    """What `run --json` prints and result.json holds. valid: LoadGen's verdict, or accuracy reached.

    settings: what LoadGen and the harness were told, or measured; model_file: its name, checksum and variant;
    results_dir: the folder that it is in now; seeds: LoadGen's, which tell the round. These are all the keys that are
    written today; those of other versions are kept as they are.
    """

    model: Annotated[str, Field(max_length=100)]
    backend: str
    device: Device
    precision: Precision
    scenario: Scenario
    mode: Mode
    synthetic: bool
    synthetic_size: SyntheticSize | None = None
    valid: bool
    reasons: tuple[str, ...] = ()
    metric: Metric | None
    latency_ns: Latency | None
    samples: int
    accuracy: Accuracy | None
    image: ImageUsed | None = None
    versions: dict[str, str]
    device_proof: dict[str, Any]
    settings: dict[str, Any] = Field(default_factory=dict)
    model_file: dict[str, Any] | None = None
    submission: Submission | None = None
    results_dir: str = ""
    duration_s: float | None = None
    seeds: dict[str, Any] = Field(default_factory=dict)
    loadgen_errors: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        """The name of its ImageSpec."""
        return cell_name(self.model, self.backend, self.device)

    @property
    def data(self) -> str:
        """What it ran on: real, or synthetic of which size."""
        return " ".join(("synthetic", self.synthetic_size or "")).strip() if self.synthetic else "real"

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
