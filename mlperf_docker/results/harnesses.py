"""Harnesses side by side: runs of our own and of the reference implementation, of the same cell on the same data."""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.contract import json_values
from mlperf_docker.contract.words import Mode
from mlperf_docker.display.tables import fact_lines
from mlperf_docker.reference_contract.reference import Numbers
from mlperf_docker.results import answers, text
from mlperf_docker.results.answers import AnswersBeside
from mlperf_docker.results.values import RunResult

_LINES = "accuracy.txt"


@dataclass(frozen=True)
class RunPair:
    """Performance runs of one round, and the ratio of ours to the reference's, above 1 where ours is faster."""

    own: RunResult
    reference: RunResult

    @property
    def ratio(self) -> float | None:
        """None where a figure could not be measured."""
        if self.own.metric is None or self.reference.metric is None:
            return None
        ours, theirs = self.own.metric.value, self.reference.metric.value
        if not ours > 0 or not theirs > 0:
            return None
        return ours / theirs if self.own.scenario.higher_is_better else theirs / ours


@dataclass(frozen=True)
class SideBySide:
    """Accuracy runs and performance runs of both harnesses; the last of each that there are."""

    own: RunResult | None
    """Accuracy run of our own harness."""
    reference: RunResult | None
    """Accuracy run of the reference implementation."""
    pairs: tuple[RunPair, ...]
    answers: AnswersBeside | None
    """None without accuracy logs of both."""

    @property
    def any(self) -> RunResult:
        """A run of it, for what all of them share."""
        return self.reference or self.pairs[0].reference

    @property
    def lines(self) -> tuple[str | None, str | None]:
        """What the scoring of each printed; None where that is not known."""
        return _line(self.own), _line(self.reference)

    @property
    def same_line(self) -> bool | None:
        """Whether both printed the same; None where one is not known."""
        own, reference = self.lines
        return None if own is None or reference is None else own == reference

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours to the reference's, round by round."""
        return tuple(pair.ratio for pair in self.pairs if pair.ratio is not None)

    @property
    def ratio_text(self) -> str:
        """The median ratio with the least and the greatest."""
        if not self.ratios:
            return "-"
        middle = f"{statistics.median(self.ratios):.2f} x"
        return f"{middle} ({min(self.ratios):.2f} to {max(self.ratios):.2f}, {len(self.ratios)} rounds)"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Name and value of all that is compared, for people."""
        return tuple(self._facts())

    def _facts(self) -> Iterator[tuple[str, str]]:
        run = self.any
        yield "Cell", f"{run.cell}, {run.precision}"
        yield "Runs", f"{run.scenario}, {run.data} data"
        yield "Reference", text.harness_text(run.harness) if run.harness else "-"
        yield "Answers", str(self.answers) if self.answers else "-"
        own, reference = self.lines
        if self.same_line:
            yield "Accuracy", f"{own}: the same line"
        else:
            yield "Accuracy", f"{own or '-'}; the reference's: {reference or '-'}"
        for pair in self.pairs:
            yield "Round", f"{text.figure(pair.own)}; the reference's: {text.figure(pair.reference)}"
        yield "Ratio", self.ratio_text
        yield from (("Invalid", each) for each in self.invalid)
        yield from (("Remark", each) for each in text.remarks(run))

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """All runs of it."""
        accuracy = [each for each in (self.own, self.reference) if each]
        return (*accuracy, *(each for pair in self.pairs for each in (pair.own, pair.reference)))

    @property
    def invalid(self) -> tuple[str, ...]:
        """The runs that are not VALID, with the reasons."""
        return tuple(f"{each.name}: {'; '.join(each.reasons)}" for each in self.runs if not each.valid)

    @property
    def alike(self) -> bool:
        """Whether all runs are VALID, the same samples were answered, and both accuracy lines are the same."""
        answered = self.answers is not None and self.answers.compared > 0 and not self.answers.alone
        return answered and self.same_line is True and not self.invalid

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        run, (own, reference) = self.any, self.lines
        return {
            "model": run.model,
            "backend": run.backend,
            "device": run.device.value,
            "scenario": run.scenario.value,
            "synthetic_size": run.synthetic_size,
            "commit": run.harness.commit if run.harness else None,
            "answers": json_values.fields(self.answers) if self.answers else None,
            "alike": self.alike,
            "accuracy": {"own": own, "reference": reference, "equal": self.same_line},
            "ratios": list(self.ratios),
            "runs": [each.name for each in self.runs],
            "invalid": list(self.invalid),
        }


def side_by_side(runs: Iterable[RunResult]) -> Iterator[SideBySide]:
    """Yield what *runs* have of both harnesses, for each cell, scenario, precision and data; runs pair by their age."""
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for run in sorted(runs, key=lambda each: each.age_key):
        groups.setdefault((run.cell, run.precision, run.scenario, run.data), []).append(run)
    for found in groups.values():
        own, reference = (_of(found, harness=harness) for harness in (False, True))
        if own and reference:
            yield _beside(own, reference)


def _of(runs: Iterable[RunResult], *, harness: bool) -> list[RunResult]:
    return [each for each in runs if (each.harness is not None) is harness and each.compliance is None]


def _beside(own: list[RunResult], reference: list[RunResult]) -> SideBySide:
    pairs = zip(_in(own, Mode.PERFORMANCE), _in(reference, Mode.PERFORMANCE), strict=False)
    ours, theirs = (next(reversed(_in(each, Mode.ACCURACY)), None) for each in (own, reference))
    return SideBySide(ours, theirs, tuple(RunPair(*pair) for pair in pairs), _answers(ours, theirs))


def _answers(own: RunResult | None, reference: RunResult | None) -> AnswersBeside | None:
    """The answers of two accuracy runs; the reference's result tells what numbers they are."""
    if own is None or reference is None:
        return None
    kind = Numbers(reference.settings.get("answers", Numbers.FLOAT32))
    return answers.compare(Path(own.results_dir), Path(reference.results_dir), kind)


def _in(runs: Iterable[RunResult], mode: Mode) -> list[RunResult]:
    return [each for each in runs if each.mode is mode]


def _line(run: RunResult | None) -> str | None:
    """What the scoring of *run* printed."""
    try:
        lines = (Path(run.results_dir) / _LINES).read_text(encoding="utf-8").split("\n\n")[0] if run else ""
    except OSError:
        return None
    return " ".join(lines.split()) or None


def side_by_side_text(found: SideBySide) -> str:
    """What `compare-harness` prints."""
    return fact_lines(found.facts, 11)
