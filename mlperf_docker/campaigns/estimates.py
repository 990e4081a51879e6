"""Estimates of how long planned runs take, from earlier results of the same cell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlperf_docker.campaigns.requests import WantedRun
from mlperf_docker.contract.words import Mode, Scenario
from mlperf_docker.results.values import RunResult

_NS_PER_S = 1e9
_MS_PER_S = 1000


@dataclass(frozen=True)
class Estimate:
    """Estimate of a run's time."""

    seconds: float | None
    """None if unknown."""
    at_least: bool = False
    """Whether a rate decides that is not known yet; then seconds is the least that it takes."""


def estimate(run: WantedRun, results: Sequence[RunResult]) -> Estimate:
    """Return how long *run* takes. results: those of the campaign's folder, whether they fit or not, oldest first."""
    alike = [each for each in results if _is_alike(each, run)]
    took = next((each.duration_s for each in reversed(alike) if _is_as_long(each, run)), None)
    if took is not None:
        return Estimate(took)
    if run.request.options.mode is Mode.ACCURACY:
        count, rate = _samples(run, alike), _rate(alike)
        return Estimate(count / rate) if count and rate else Estimate(None)
    return _of_performance(run, alike)


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Return the time of all together; at least that, where one is not known."""
    found = tuple(estimates)
    known = [each.seconds for each in found if each.seconds is not None]
    return Estimate(
        sum(known) if known or not found else None, any(each.seconds is None or each.at_least for each in found)
    )


def _of_performance(run: WantedRun, alike: Sequence[RunResult]) -> Estimate:
    least = run.options.min_duration_s or _of_round(run)
    if run.request.options.scenario is not Scenario.OFFLINE:
        return Estimate(least)
    count, rate = run.options.min_query_count or 0, _rate(alike)
    return Estimate(max(least, count / rate)) if rate else Estimate(least, at_least=True)


def _of_round(run: WantedRun) -> float:
    return run.request.round.min_duration_ms / _MS_PER_S if run.request.round else 0.0


def _is_alike(result: RunResult, run: WantedRun) -> bool:
    """Tell whether *result* is of the same network, harness and data."""
    options = run.request.options
    synthetic = str(options.synthetic) if options.synthetic else None
    asked = (str(run.request.spec), run.request.harness_name, options.precision, synthetic)
    return (result.cell, result.harness_name, result.precision, result.synthetic_size) == asked


def _is_as_long(result: RunResult, run: WantedRun) -> bool:
    """Tell whether *result* was asked for as many seconds, queries and samples; a test takes as long as its run."""
    asked, had = run.options, result.request.options if result.request else {}
    names = ("samples",) if asked.mode is Mode.ACCURACY else ("min_duration_s", "min_query_count", "samples")
    same = (result.scenario, result.mode) == (asked.scenario, asked.mode)
    return same and all(had.get(name) == getattr(asked, name) for name in names)


def _samples(run: WantedRun, alike: Iterable[RunResult]) -> int | None:
    """The samples of an accuracy run; of a synthetic one those that another had, None before there is one."""
    options = run.request.options
    if options.samples or not options.synthetic:
        return options.samples or run.request.spec.model.dataset.count
    return next((each.samples for each in alike if each.mode is Mode.ACCURACY), None)


def _rate(alike: Iterable[RunResult]) -> float | None:
    """Return the newest known rate, in samples a second: Offline's, else of an accuracy run, else of single samples."""
    rates: dict[str, float] = {}
    for each in alike:
        value = each.metric.value if each.metric else None
        if each.mode is Mode.ACCURACY and each.duration_s:
            rates["accuracy"] = each.samples / each.duration_s
        elif each.scenario is Scenario.OFFLINE and value and value > 0:
            rates["offline"] = value
        elif each.scenario is Scenario.SINGLE_STREAM and each.latency_ns and each.latency_ns.mean > 0:
            rates["single"] = _NS_PER_S / each.latency_ns.mean
    return next((rates[name] for name in ("offline", "accuracy", "single") if name in rates), None)
