"""Trials of a tuning: what is asked of each run, and what it came to."""

import math
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from mlperf_docker.contract.words import Scenario
from mlperf_docker.results.values import RunResult
from mlperf_docker.runs.profile import TunedOptions
from mlperf_docker.tuning.peak import Rated

_DROWNED = "outstanding queries"
"""Words of LoadGen's error entry where it ended a run as too many queries waited."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Purpose(StrEnum):
    """Purpose of a trial, in one word for people."""

    DEFAULT = "default"
    LAYOUT = "layout"
    BATCH = "batch"
    PAIR = "pair"
    RATE = "rate"
    FULL = "confirm"


class Trial(_Part):
    """Trial: a run to make."""

    purpose: Purpose
    scenario: Scenario
    options: TunedOptions
    min_duration_s: float | None = None
    """None for as long as a run that counts."""

    @property
    def full(self) -> bool:
        """Whether it is as long as a run that counts."""
        return self.purpose is Purpose.FULL

    def is_of(self, result: RunResult) -> bool:
        """Whether *result* may be that of this trial, by what was asked for."""
        if result.request is None or result.scenario != self.scenario:
            return False
        asked = {name: result.request.options.get(name) for name in TunedOptions.model_fields}
        return {name: value for name, value in asked.items() if value is not None} == self.options.given()


class EndedTrial(_Part):
    """Trial that was made."""

    trial: Trial
    folder: str = ""
    """Its result's folder; empty where there is no result."""
    figure: float | None = None
    """The scenario's figure."""
    valid: bool = False
    p99_ns: float | None = None
    bound_ns: float | None = None
    drowned: bool = False
    """Whether LoadGen ended it early, as too many queries waited."""
    batch_size: int | None = None
    """What the harness used, as of the next two."""
    instances: int | None = None
    threads: int | None = None
    problem: str | None = None
    """Why there is no result, or the first reason why it is INVALID."""

    def rated(self) -> Rated:
        """The trial of a rate as the search for a peak takes it."""
        return Rated(
            qps=self.trial.options.target_qps or 0.0,
            full=self.trial.full,
            valid=self.valid,
            p99_ns=self.p99_ns,
            bound_ns=self.bound_ns,
            aborted=self.drowned or self.figure is None,
        )


def ended(trial: Trial, result: RunResult) -> EndedTrial:
    """The trial with its result."""
    figure = result.metric.value if result.metric else math.nan
    latency, settings = result.latency_ns, result.settings
    return EndedTrial(
        trial=trial,
        folder=result.name,
        figure=figure if math.isfinite(figure) and figure > 0 else None,
        valid=result.valid,
        p99_ns=latency.p99 if latency and math.isfinite(latency.p99) else None,
        bound_ns=settings.get("target_latency_ns"),
        drowned=any(_DROWNED in error for error in result.loadgen_errors),
        batch_size=None if "parts_per_batch" in settings else settings.get("batch_size"),
        instances=settings.get("instances"),
        threads=settings.get("threads"),
        problem=None if result.valid else next(iter(result.reasons), "INVALID"),
    )
