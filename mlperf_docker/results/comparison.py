"""Comparison of runs: figures side by side, and the facts in which they differ."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mlperf_docker.results.values import Metric, RunResult

_T = TypeVar("_T")

METRIC = "metric"
"""The name of the figure that the scenario is about; the others are energy and latencies."""

# What a run came to, and what follows from that; every other key of a result is a fact that may explain it.
_OUTCOME = {
    *(
        "valid",
        "reasons",
        "metric",
        "latency_ns",
        "accuracy",
        "loadgen_errors",
        "round",
        "submission",
        "energy",
        "compliance",
    ),
}
_COMMAND = "request.command"
"""Says again what the other facts say."""
_ALWAYS_NEW = {"results_dir", "duration_s"}


@dataclass(frozen=True)
class ComparedFigure:
    """Figure of all runs that are compared."""

    name: str
    values: tuple[Metric | None, ...]
    """Value of each run; None if it has none."""
    ratios: tuple[float | None, ...]
    """Ratio to the first run's value; None if it would say nothing."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; the first is what the others are compared with."""

    results: tuple[RunResult, ...]

    @property
    def higher_is_better(self) -> bool | None:
        """Whether more of the metric is better; None where the runs' scenarios do not agree on it."""
        directions = {result.scenario.higher_is_better for result in self.results}
        return directions.pop() if len(directions) == 1 else None

    @property
    def obstacles(self) -> dict[str, tuple[str | None, ...]]:
        """Why the runs cannot be compared: what makes them different benchmarks → each run's value of it."""
        return _unequal(_side_by_side([benchmark(result) for result in self.results]))

    def differing(self) -> dict[str, tuple[Any, ...]]:
        """The facts in which the runs differ: a key's path in result.json → each run's value, None where absent."""
        return _unequal(_side_by_side([_facts(result) for result in self.results]))

    def figures(self) -> tuple[ComparedFigure, ...]:
        """The metric, and the latency's mean and percentiles, of those that any run has."""
        columns = _side_by_side([dict(_measured(result)) for result in self.results])
        return tuple(ComparedFigure(name, values, self._ratios(values)) for name, values in columns.items())

    def _ratios(self, values: tuple[Metric | None, ...]) -> tuple[float | None, ...]:
        like_first = (benchmark(result) == benchmark(self.results[0]) for result in self.results)
        return tuple(
            _ratio(value, values[0]) if alike else None for alike, value in zip(like_first, values, strict=True)
        )

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        ratios = {figure.name: figure.ratios for figure in self.figures()}
        shown = {"results_dir", *_OUTCOME}
        runs = [
            {
                "run": result.name,
                **result.model_dump(mode="json", include=shown),
                "ratios": {name: each[place] for name, each in ratios.items()},
            }
            for place, result in enumerate(self.results)
        ]
        return {
            "comparable": not self.obstacles,
            "obstacles": {name: list(values) for name, values in self.obstacles.items()},
            "higher_is_better": self.higher_is_better,
            "runs": runs,
            "differing": {key: list(values) for key, values in self.differing().items()},
        }


def benchmark(result: RunResult) -> dict[str, str]:
    """What two runs must share for their figures to be comparable."""
    return {"model": result.model, "scenario": result.scenario, "mode": result.kind, "data": result.data}


def _measured(result: RunResult) -> Iterator[tuple[str, Metric]]:
    if result.metric is not None:
        yield METRIC, result.metric
    if result.joules_per_sample is not None:
        yield "energy", Metric(name="energy", value=result.joules_per_sample, unit="J/sample")
    if result.latency_ns is not None:
        for name, value in result.latency_ns.named().items():
            yield f"latency {name}", Metric(name=name, value=value, unit="ns")


def _ratio(value: Metric | None, first: Metric | None) -> float | None:
    if value is None or first is None or value.name != first.name or not first.value:
        return None
    ratio = value.value / first.value
    return ratio if math.isfinite(ratio) else None


def _facts(result: RunResult) -> dict[str, Any]:
    fields = result.model_dump(mode="json", exclude=_OUTCOME | _ALWAYS_NEW)
    found = dict(leaves({**fields, "harness": fields.get("harness") or {"name": result.harness_name}}))
    return {key: value for key, value in found.items() if key != _COMMAND}


def leaves(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value in nested *fields* with its path, as in `settings.batch_size`; a list counts as one value."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _side_by_side(columns: Sequence[Mapping[str, _T]]) -> dict[str, tuple[_T | None, ...]]:
    """Return key → its value in each of *columns*, None where that has no such key."""
    keys = dict.fromkeys(key for column in columns for key in column)
    return {key: tuple(column.get(key) for column in columns) for key in keys}


def _unequal(rows: Mapping[str, tuple[_T, ...]]) -> dict[str, tuple[_T, ...]]:
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}
