"""Results and tables as text for people."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlperf_docker.contract.scores import bound_text
from mlperf_docker.contract.words import ComparedBy
from mlperf_docker.display import printable
from mlperf_docker.display.tables import fact_lines, fitted
from mlperf_docker.host import facts as host_facts
from mlperf_docker.results.comparison import METRIC, Comparison
from mlperf_docker.results.host_text import energy_text, summary
from mlperf_docker.results.values import (
    AccuracyScore,
    ComplianceVerdict,
    HarnessUsed,
    Metric,
    ModelCodeUsed,
    RoundVerdict,
    RunResult,
)

NO_BENCHMARK = "not a benchmark result"
_NS_PER_MS = 1e6
_LONGEST_FACT = 500
_DIFFERENCES_SHOWN = 100
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")


RESULT_HEADER = ("run", "cell", "precision", "scenario", "mode", "data", "verdict", "figure")
RESULT_ORDER = ("run", "verdict", "figure", "cell", "scenario", "mode", "data", "precision")
"""The same by importance."""


def result_line(result: RunResult) -> tuple[str, ...]:
    """One row of `results list`."""
    return (
        result.name,
        cell_text(result),
        result.precision,
        result.scenario,
        result.kind,
        "synthetic" if result.synthetic else "real",
        verdict(result),
        figure(result),
    )


def cell_text(result: RunResult) -> str:
    """The cell of a run, and the harness where it is another than ours."""
    return result.cell if result.harness is None else f"{result.cell} ({result.harness.name})"


def verdict(result: RunResult) -> str:
    """VALID or INVALID, LoadGen's own words."""
    return "VALID" if result.valid else "INVALID"


def figure(result: RunResult) -> str:
    """The figure that the run was made for: the scenario's metric, or the accuracy."""
    if result.accuracy is not None:
        return "; ".join(map(score_text, result.accuracy.scores))
    if result.metric is not None:
        return metric_text(result.metric)
    return "-"


def score_text(score: AccuracyScore) -> str:
    """A score with its target, and with that of the 99.9 % level where the benchmark has it."""
    (target, _), *high = levels(score)
    more = (f", {words} {'reached' if reached else 'missed'}" for words, reached in high)
    return f"{score.metric} {score.value:.4f} ({target}{''.join(more)})"


def levels(score: AccuracyScore) -> Iterator[tuple[str, bool]]:
    """Each target of a score in words, and whether it was reached."""
    yield f"target {bound_text(score.sense, score.target, 4)}", score.passed
    if score.high_target is not None:
        yield f"high target {bound_text(score.sense, score.high_target, 4)}", bool(score.high)


def metric_text(metric: Metric) -> str:
    """The metric with its unit; a latency in milliseconds."""
    return milliseconds(metric.value) if metric.unit == "ns" else f"{metric.value:.6g} {metric.unit}"


def milliseconds(latency_ns: float) -> str:
    """A latency for people."""
    return f"{latency_ns / _NS_PER_MS:.3f} ms"


def result_text(result: RunResult) -> str:
    """A result in full, a line per fact, the verdict first and the folder last."""
    return fact_lines(_facts(result), 13)


def _facts(result: RunResult) -> Iterable[tuple[str, str]]:
    yield "Result", f"{verdict(result)}{f' (synthetic: {NO_BENCHMARK})' if result.synthetic else ''}"
    yield from (("", printable.shortened(reason, _LONGEST_FACT)) for reason in result.reasons)
    yield "Cell", f"{result.model} on {result.backend} ({result.device}, {result.precision})"
    if result.harness is not None:
        yield "Harness", harness_text(result.harness)
        yield from (("", printable.shortened(each, _LONGEST_FACT)) for each in remarks(result))
    yield "Run", f"{result.scenario}, {result.kind}, {result.samples} samples"
    if result.metric is not None:
        yield "Metric", f"{metric_text(result.metric)} ({result.metric.name})"
    if result.latency_ns is not None:
        parts = result.latency_ns.named().items()
        yield "Latency", ", ".join(f"{name} {milliseconds(value)}" for name, value in parts)
    for score in result.accuracy.scores if result.accuracy else ():
        yield "Accuracy", score_text(score)
    if result.round is not None:
        yield "Round", round_text(result.round)
    if result.compliance is not None:
        yield "Compliance", "; ".join(compliance_texts(result.compliance))
    yield "Device", _proof(result.device_proof)
    yield "Versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())
    if result.image is not None:
        yield "Image", f"{result.image.tag} ({result.image.id[:19]})"
        yield "Base", result.image.base
    if (host := host_facts.read(result.host)) is not None:
        yield "Host", summary(host)
    if result.energy is not None:
        yield "Energy", energy_text(result.energy)
    if result.results_dir:
        yield "Results", result.results_dir


def harness_text(harness: HarnessUsed) -> str:
    """Another harness than ours, and the checkout that it is of."""
    code = f"; model code, {_commit_text(harness.code)}" if harness.code else ""
    return f"{harness.name}, {_commit_text(harness)}{code}"


def _commit_text(code: HarnessUsed | ModelCodeUsed) -> str:
    return f"commit {code.commit or 'unknown'}{' with local changes' if code.changed else ''}"


def remarks(result: RunResult) -> list[str]:
    """What is to be known of every result of a reference implementation."""
    found = result.settings.get("remarks")
    return [str(each) for each in found] if isinstance(found, list) else []


def round_text(verdict: RoundVerdict) -> str:
    """Whether a run counts for a round, and for what, or why not."""
    why = "; ".join(verdict.why)
    if not verdict.counts:
        return f"does not count for {verdict.name}: {why}"
    return f"counts for {verdict.name}, {', '.join(verdict.benchmarks)}{f'; {why}' if why else ''}"


def compliance_texts(found: ComplianceVerdict) -> Iterator[str]:
    """The verdict of a compliance test, and what it compared."""
    yield f"{found.test} {'passed' if found.passed else 'not passed'}"
    if found.performance.ratio is not None:
        yield f"figure {found.performance.ratio:.3f} x that of {found.performance_run or 'the performance run'}"
    answers = found.accuracy
    if answers is not None:
        others = found.accuracy_run or "the accuracy run"
        yield f"{answers.differing} of {answers.compared} answers differ from those of {others}"
        if answers.path is ComparedBy.SCORES:
            yield f"scores {answers.baseline:.4f} and {answers.score:.4f}"


def _proof(proof: Mapping[str, Any]) -> str:
    """The proof's plain facts, or why there is none; lists and tables are for programs."""
    if proof.get("proved") is False:
        return f"not proved: {proof.get('why')}"
    return ", ".join(f"{key} {value}" for key, value in proof.items() if isinstance(value, str | int | float))


def fact_text(value: object) -> str:
    """A fact of a result for people: what is absent as a dash, numbers and lists as JSON."""
    said = value if isinstance(value, str) or value is None else json.dumps(value, ensure_ascii=False)
    return printable.shortened(said, _LONGEST_FACT) if said else "-"


def brief_text(value: object) -> str:
    """The same, a hash by its beginning."""
    return fact_text(value[:19] if isinstance(value, str) and _SHA256.fullmatch(value) else value)


def comparison_text(comparison: Comparison, columns: int | None = None) -> str:
    """What `results compare` prints: the runs by number, their figures side by side, and the facts that differ.

    columns: the terminal's width, or None for a pipe.
    """
    numbers = [f"#{number}" for number, _ in enumerate(comparison.results, 1)]
    lines = [
        line for number, result in zip(numbers, comparison.results, strict=True) for line in _named(number, result)
    ]
    if comparison.obstacles:
        obstacles = (f"{name} is {', '.join(map(str, values))}" for name, values in comparison.obstacles.items())
        obstacle = printable.one_line("; ".join(obstacles))
        lines += ["", f"Not the same benchmark, so not comparable: {obstacle}."]
    lines += ["", fitted(("figure", *numbers), _figures(comparison), columns)]
    every = comparison.differing()
    shown = list(every.items())[:_DIFFERENCES_SHOWN]
    differing = [(printable.shortened(key, _LONGEST_FACT), *map(brief_text, values)) for key, values in shown]
    lines += ["", fitted(("differs", *numbers), differing, columns) if differing else "Nothing else differs."]
    lines += [f"… and {len(every) - len(shown):,} more: --json has them."] if len(every) > len(shown) else []
    return "\n".join(lines)


def _named(number: str, result: RunResult) -> Iterable[str]:
    said = f"{verdict(result)}{f' (synthetic: {NO_BENCHMARK})' if result.synthetic else ''}"
    yield printable.one_line(f"{number}  {result.name}  {said}")
    yield from (f"    {printable.shortened(reason, _LONGEST_FACT)}" for reason in result.reasons)


def _figures(comparison: Comparison) -> Iterable[tuple[str, ...]]:
    better = {True: " (higher is better)", False: " (lower is better)", None: ""}[comparison.higher_is_better]
    for each in comparison.figures():
        texts = map(_with_ratio, each.values, (None, *each.ratios[1:]))
        yield f"{each.name}{better if each.name == METRIC else ''}", *texts
    if any(result.accuracy for result in comparison.results):
        yield "accuracy", *(figure(result) if result.accuracy else "-" for result in comparison.results)


def _with_ratio(metric: Metric | None, ratio: float | None) -> str:
    said = metric_text(metric) if metric else "-"
    return said if ratio is None else f"{said} ({ratio:.4g} x)"
