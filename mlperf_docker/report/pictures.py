"""Pictures of runs: latency distribution, figures and energy over time, p99 by rate."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.report import scale
from mlperf_docker.report.distribution import QueryLatencies
from mlperf_docker.report.picture import Picture, PictureAxis, Point, Rule, Series, Shape, Tone
from mlperf_docker.results import text
from mlperf_docker.results.values import RunResult

_NS_PER_MS = 1e6
_BARS = 48
_WIDE = 20
"""Ratio of values beyond which an axis from zero would hide the least of them."""
_FEWEST = 3
"""Points of which a picture says more than a table."""
_DATES = 6
"""Marks on an axis of runs."""


def percentiles(found: QueryLatencies) -> Picture:
    """Latency against percentile, the nines equally far apart."""
    points = tuple(
        Point(percent, latency / _NS_PER_MS, f"p{percent:g}: {text.milliseconds(latency)}")
        for percent, latency in found.percentiles
    )
    rules = _bound(found.bound) if found.bound else ()
    heights = [*(each.y for each in points), *(each.value for each in rules)]
    return Picture(
        title="Latency by percentile",
        said="; ".join(each.note for each in points),
        x=PictureAxis("percentile", scale.nines(each.x for each in points), "p{:g}"),
        y=_latency_axis("latency, ms", heights),
        series=(Series("", points),),
        rules=rules,
    )


def _bound(latency_ns: float) -> tuple[Rule, ...]:
    return (Rule(latency_ns / _NS_PER_MS, f"bound {latency_ns / _NS_PER_MS:g} ms"),)


def _latency_axis(label: str, values: Sequence[float]) -> PictureAxis:
    """An axis from zero, or a logarithmic one where the least value would lie on the axis."""
    if max(values) > _WIDE * min(values) > 0:
        return PictureAxis(f"{label} (log)", scale.decades(values))
    return PictureAxis(label, scale.even(values))


def histogram(found: QueryLatencies) -> Picture | None:
    """How many queries had which latency, from the trace log; None without one."""
    queries = [each / _NS_PER_MS for each in found.queries if each > 0]
    if not queries:
        return None
    across = scale.decades(queries)
    step = (across.greatest / across.least) ** (1 / _BARS)
    edges = [across.least * step**number for number in range(_BARS + 1)]
    counts = _counts(queries, edges)
    points = tuple(
        Point(edge, count, f"{count:g} queries from {edge:.4g} ms")
        for edge, count in zip(edges, [*counts, 0.0], strict=True)
    )
    return Picture(
        title="Queries by latency",
        said=f"{len(queries)} queries from {queries[0]:.4g} to {queries[-1]:.4g} ms",
        x=PictureAxis("latency, ms", across),
        y=PictureAxis("queries", scale.even(counts)),
        series=(Series("", points, Shape.BARS),),
    )


def _counts(rising: Sequence[float], edges: Sequence[float]) -> list[float]:
    """How many of the values are between each two edges."""
    counts, place = [0.0] * (len(edges) - 1), 0
    for value in rising:
        while place < len(counts) - 1 and value >= edges[place + 1]:
            place += 1
        counts[place] += 1
    return counts


def figure(result: RunResult) -> float | None:
    """The number that the run was made for: its score, or the scenario's metric."""
    if result.accuracy is not None:
        return result.accuracy.value
    return result.metric.value if result.metric else None


def over_time(results: Sequence[RunResult]) -> Picture | None:
    """The figures of runs of one kind, oldest first, and where the image changed; None of fewer than three."""
    factor = 1 / _NS_PER_MS if results and _unit(results[0]) == "ms" else 1.0
    known = [(each, value * factor) for each in results if (value := figure(each)) is not None]
    return _of_runs("Figures over time", _unit(results[0]), known, _note) if known else None


def energy(results: Sequence[RunResult]) -> Picture | None:
    """The energy per sample of runs of one kind, in the same way."""
    known = [(each, value) for each in results if (value := each.joules_per_sample) is not None]
    return _of_runs("Energy of the processors over time", "J/sample", known, _energy_note)


def _energy_note(result: RunResult) -> str:
    return f"{result.joules_per_sample:.4g} J/sample, {text.verdict(result)}, {_image(result)}"


def _of_runs(
    title: str, unit: str, values: Sequence[tuple[RunResult, float]], note: Callable[[RunResult], str]
) -> Picture | None:
    """A value of each run, oldest first; None of fewer than three. note: what is said of a run."""
    known = [(each, value) for each, value in values if math.isfinite(value)]
    if len(known) < _FEWEST:
        return None
    runs = [each for each, _ in known]
    points = [Point(number, value, note(each)) for number, (each, value) in enumerate(known, 1)]
    invalid = tuple(each for each, result in zip(points, runs, strict=True) if not result.valid)
    marked = (Series("INVALID", invalid, Shape.MARKS, Tone.BAD),) if invalid else ()
    return Picture(
        title=title,
        said=f"{len(points)} runs, from {points[0].note} to {points[-1].note}",
        x=PictureAxis("run", scale.around(range(1, len(points) + 1)), names=tuple(_dates(runs))),
        y=PictureAxis(unit, scale.around([each.y for each in points])),
        series=(Series("all runs" if marked else "", tuple(points)), *marked),
        rules=tuple(_changes(runs)),
    )


def _unit(result: RunResult) -> str:
    """The unit of its figure for people."""
    if result.accuracy is not None:
        return " ".join((result.accuracy.metric, result.accuracy.unit)).strip()
    unit = result.metric.unit if result.metric else ""
    return "ms" if unit == "ns" else unit


def _note(result: RunResult) -> str:
    return f"{text.figure(result)}, {text.verdict(result)}, {_image(result)}"


def _dates(results: Sequence[RunResult]) -> Iterator[tuple[float, str]]:
    """Some of the runs' numbers with their dates."""
    every = -(-len(results) // _DATES)
    for number in range(0, len(results), every):
        started = results[number].started
        yield number + 1, f"{started:%m-%d %H:%M}" if started else str(number + 1)


def _changes(results: Sequence[RunResult]) -> Iterator[Rule]:
    """A line before each run of another image than that of the run before."""
    for number, (before, after) in enumerate(pairwise(results), 1):
        if before.image and after.image and before.image.id != after.image.id:
            yield Rule(number + 0.5, _image(after), upright=True)


def _image(result: RunResult) -> str:
    """The hash in its image's tag, or how its id begins."""
    if result.image is None:
        return "image not known"
    return f"image {result.image.tag.rpartition('-')[2][:12] or result.image.id[:19]}"


def rates(results: Sequence[RunResult]) -> Picture | None:
    """p99 against the rate asked for, of Server runs of one cell and data; None of fewer than three rates."""
    tried = sorted((found for each in results if (found := _rate(each))), key=lambda each: each[0].x)
    if len({point.x for point, _ in tried}) < _FEWEST:
        return None
    bound_ns = results[-1].settings.get("target_latency_ns")
    rules = _bound(float(bound_ns)) if isinstance(bound_ns, int | float) else ()
    valid = tuple(point for point, fine in tried if fine)
    refused = tuple(point for point, fine in tried if not fine)
    best = max(valid, default=None)
    peak = (Rule(best.x, f"highest VALID {best.x:.5g}/s", upright=True),) if best else ()
    series = (Series("VALID", valid, Shape.BOTH, Tone.GOOD), Series("INVALID", refused, Shape.MARKS, Tone.BAD))
    heights = [*(point.y for point, _ in tried), *(each.value for each in rules)]
    return Picture(
        title="p99 by rate",
        said="; ".join(point.note for point, _ in tried),
        x=PictureAxis("queries per second asked for", scale.around([point.x for point, _ in tried])),
        y=_latency_axis("p99, ms", heights),
        series=tuple(each for each in series if each.points),
        rules=(*rules, *peak),
    )


def _rate(result: RunResult) -> tuple[Point, bool] | None:
    """The point of a Server run, and whether it is VALID."""
    asked, latency = result.settings.get("target_qps"), result.latency_ns
    if result.scenario is not Scenario.SERVER or result.mode is not Mode.PERFORMANCE or latency is None:
        return None
    if not isinstance(asked, int | float) or not latency.p99 > 0:
        return None
    note = f"{asked:.5g}/s: p99 {text.milliseconds(latency.p99)}, {text.verdict(result)}"
    return Point(float(asked), latency.p99 / _NS_PER_MS, note), result.valid
