"""Histories: runs of one kind, oldest first."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from mlperf_docker.contract.scores import Sense
from mlperf_docker.contract.words import Mode
from mlperf_docker.report import pictures
from mlperf_docker.report.bars import Bar, shares
from mlperf_docker.report.picture import Picture
from mlperf_docker.report.runs import Run
from mlperf_docker.results import text
from mlperf_docker.results.comparison import METRIC, Comparison, benchmark
from mlperf_docker.results.values import RunResult


@dataclass(frozen=True)
class ReportStep:
    """A run among others of its kind."""

    run: Run
    bar: Bar
    ratio: float | None
    """Ratio to the first run."""
    changes: dict[str, tuple[Any, ...]]
    """Facts that changed since the run before: key → old and new value."""


@dataclass(frozen=True)
class History:
    """Runs of the same cell, precision and benchmark, oldest first."""

    anchor: str
    title: str
    higher_is_better: bool
    steps: tuple[ReportStep, ...]

    @cached_property
    def pictures(self) -> tuple[Picture, ...]:
        """Figures and energy over time, and of Server runs p99 by rate, where there is enough to draw."""
        results = [step.run.result for step in self.steps]
        drawn = (pictures.over_time(results), pictures.energy(results), pictures.rates(results))
        return tuple(each for each in drawn if each)


def histories(runs: Iterable[Run]) -> Iterator[History]:
    """Return what was run more than once, in the order of the newest runs."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        key = (run.result.cell, run.result.harness_name, run.result.precision, *benchmark(run.result).values())
        groups.setdefault(key, []).append(run)
    several = (group[::-1] for group in groups.values() if len(group) > 1)
    return (_history(f"history-{number}", group) for number, group in enumerate(several, 1))


def _history(anchor: str, runs: Sequence[Run]) -> History:
    results = tuple(run.result for run in runs)
    first = results[0]
    ratios = {figure.name: figure.ratios for figure in Comparison(results).figures()}
    changes = ({}, *(Comparison(pair).differing() for pair in pairwise(results)))
    return History(
        anchor=anchor,
        title=f"{text.cell_text(first)} {first.precision}, {first.scenario}, {first.kind}, {first.data}",
        higher_is_better=_higher_is_better(first),
        steps=tuple(map(ReportStep, runs, _bars(results), ratios.get(METRIC, (None,) * len(runs)), changes)),
    )


def _higher_is_better(result: RunResult) -> bool:
    if result.accuracy is not None:
        return result.accuracy.sense is not Sense.AT_MOST
    return result.mode is Mode.ACCURACY or result.scenario.higher_is_better


def _bars(results: Sequence[RunResult]) -> Iterator[Bar]:
    """Yield the bar of each result's figure, all on one scale with their targets."""
    values = [pictures.figure(result) for result in results]
    targets = [_target(result) for result in results]
    lengths = shares([*values, *targets])
    for result, share, target in zip(results, lengths[: len(values)], lengths[len(values) :], strict=True):
        yield Bar(text.figure(result), share, None if _target(result) is None else target)


def _target(result: RunResult) -> float | None:
    """The number that a line marks on the bar: the accuracy's target, of two bounds the lower one."""
    target = result.accuracy.target if result.accuracy else None
    return target[0] if isinstance(target, tuple) else target
