"""Report of results as one HTML file. Needs Jinja2, so import it where a report is written."""

import datetime as dt
import functools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlperf_docker import __version__
from mlperf_docker.contract.scores import Sense
from mlperf_docker.contract.words import Mode
from mlperf_docker.display import printable
from mlperf_docker.errors import UsageError
from mlperf_docker.results import text
from mlperf_docker.results.comparison import METRIC, Comparison, benchmark, leaves
from mlperf_docker.results.store import StoredResults
from mlperf_docker.results.values import RunResult
from mlperf_docker.system import atomic, folders, paths

FILE = "report.html"
_TEMPLATE = "report.html.j2"
_FACTS_SHOWN = 200  # a title


@dataclass(frozen=True)
class Bar:
    """A figure and the length of its bar, in percent of the longest beside it."""

    text: str
    share: float
    target: float | None = None
    """Position of the target's line; None if there is no target."""


@dataclass(frozen=True)
class Run:
    """A result and where it stands in the file."""

    anchor: str
    result: RunResult

    @property
    def latencies(self) -> dict[str, Bar]:
        """Mean and percentiles by name; none where the run has no latency."""
        named = self.result.latency_ns.named() if self.result.latency_ns else {}
        bars = map(Bar, map(text.milliseconds, named.values()), _shares(named.values()))
        return dict(zip(named, bars, strict=True))

    @property
    def facts(self) -> dict[str, tuple[tuple[str, Any], ...]]:
        """Title → what there is to say of it, as (key, value)."""
        result = self.result
        fields = {
            "Settings": result.settings,
            "Versions": result.versions,
            "Device proof": result.device_proof,
            "Model file": result.model_file or {},
            "Image": result.image.model_dump(mode="json") if result.image else {},
            "Further": {"seeds": result.seeds, **(result.model_extra or {})},
        }
        return {title: found for title, each in fields.items() if (found := _some(tuple(leaves(each))))}


def _some(facts: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """Return *facts*, of very many the first and how many more there are."""
    more = len(facts) - _FACTS_SHOWN
    return facts if more <= 0 else (*facts[:_FACTS_SHOWN], ("…", f"and {more:,} more"))


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

    title: str
    higher_is_better: bool
    steps: tuple[ReportStep, ...]


def check_place(path: Path) -> Path:
    """Return where a report can be written. Raises UsageError unless it is in a folder that we may write to."""
    path = paths.resolved(path)
    folders.require_writable(path.parent, "with --output FILE", "folder of the report")
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", hint="Name a file in it with --output FILE.")
    return path


def write(found: StoredResults, path: Path) -> Path:
    """Write the report of *found* to *path*, in one step, and return the path."""
    atomic.write_text(path, render(found, dt.datetime.now(dt.UTC)))
    return path


def render(found: StoredResults, now: dt.datetime) -> str:
    """Return the report, newest runs first.

    Its text is ASCII, which is the same in any locale's encoding, with references for all other characters.
    """
    newest_first = sorted(found.results, key=lambda result: result.age_key, reverse=True)
    runs = tuple(Run(f"run-{number}", result) for number, result in enumerate(newest_first, 1))
    template = _environment().get_template(_TEMPLATE)
    html = template.render(runs=runs, histories=tuple(_histories(runs)), left_out=found.left_out, now=now)
    return printable.lines(html).encode("ascii", "xmlcharrefreplace").decode()


@functools.cache
def _environment() -> Environment:
    """Return Jinja2 set up for HTML: every value is escaped, and an undefined name is an error."""
    environment = Environment(
        loader=FileSystemLoader(paths.assets() / "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, "no_benchmark": text.NO_BENCHMARK}
    environment.filters |= {
        "date": lambda time: (f"{time:%Y-%m-%d}", f"{time:%H:%M} UTC"),
        "brief": text.brief_text,
        "fact": text.fact_text,
        "metric": text.metric_text,
        "ms": text.milliseconds,
        "levels": text.levels,
        "tag_parts": re.compile(r"[^/:]+[/:]?").findall,
        "verdict": text.verdict,
    }
    return environment


def _histories(runs: Iterable[Run]) -> Iterator[History]:
    """Yield what was run more than once, in the order of the newest runs."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        key = (run.result.cell, run.result.precision, *benchmark(run.result).values())
        groups.setdefault(key, []).append(run)
    for group in groups.values():
        if len(group) > 1:
            yield _history(group[::-1])


def _history(runs: Sequence[Run]) -> History:
    results = tuple(run.result for run in runs)
    first = results[0]
    ratios = {figure.name: figure.ratios for figure in Comparison(results).figures()}
    changes = ({}, *(Comparison(pair).differing() for pair in pairwise(results)))
    return History(
        title=f"{first.cell} {first.precision}, {first.scenario}, {first.mode}, {first.data}",
        higher_is_better=_higher_is_better(first),
        steps=tuple(map(ReportStep, runs, _bars(results), ratios.get(METRIC, (None,) * len(runs)), changes)),
    )


def _higher_is_better(result: RunResult) -> bool:
    if result.accuracy is not None:
        return result.accuracy.sense is not Sense.AT_MOST
    return result.mode is Mode.ACCURACY or result.scenario.higher_is_better


def _bars(results: Sequence[RunResult]) -> Iterator[Bar]:
    """Yield the bar of each result's figure, all on one scale with their targets."""
    values = [_value(result) for result in results]
    targets = [_target(result) for result in results]
    shares = _shares([*values, *targets])
    for result, share, target in zip(results, shares[: len(values)], shares[len(values) :], strict=True):
        yield Bar(text.figure(result), share, None if _target(result) is None else target)


def _value(result: RunResult) -> float | None:
    """The number in its figure."""
    if result.accuracy is not None:
        return result.accuracy.value
    return result.metric.value if result.metric else None


def _target(result: RunResult) -> float | None:
    """The number that a line marks on the bar: the accuracy's target, of two bounds the lower one."""
    target = result.accuracy.target if result.accuracy else None
    return target[0] if isinstance(target, tuple) else target


def _shares(values: Iterable[float | None]) -> list[float]:
    """Each value in percent of the greatest; 0 for what has no length: nothing, negative numbers, NaN and infinity."""
    lengths = [value if value is not None and 0 < value < math.inf else 0.0 for value in values]
    greatest = max(lengths, default=0.0) or 1.0
    return [round(100 * length / greatest, 2) for length in lengths]
