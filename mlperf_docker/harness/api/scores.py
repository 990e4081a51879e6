"""Scores, synthetic sets with known scores, and the parity of two backends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlperf_docker.contract.result import Score, Scores
from mlperf_docker.contract.scores import Bound, Sense, reaches
from mlperf_docker.contract.words import SyntheticLabels, SyntheticSize

ROUNDING = 1e-6
"""How far an exact score may be off in any case."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Result of scoring an accuracy log."""

    values: tuple[float, ...]
    """One for each of the benchmark's metrics, in their order."""
    line: str
    """Upstream's own line, for accuracy.txt."""


@dataclass(frozen=True, slots=True)
class JudgedScore:
    """A score and the targets that it is held to."""

    metric: str
    value: float
    sense: Sense = Sense.AT_LEAST
    target: Bound | None = None
    """None if unknown: then every value passes."""
    high_target: Bound | None = None
    """The bound of the benchmark's higher level; None if it has none, or the data are synthetic."""
    reference: float | None = None
    unit: str = ""
    tolerance: float = 0.0
    """How far an exact score may be off, beside rounding."""

    @property
    def passed(self) -> bool:
        """Whether the target is met."""
        return self.target is None or reaches(self.value, self.sense, self.target, self.tolerance + ROUNDING)

    @property
    def high(self) -> bool | None:
        """Whether the target of the higher level is met; None where there is none."""
        return None if self.high_target is None else reaches(self.value, self.sense, self.high_target)

    def reply(self) -> Score:
        """The score as the result has it."""
        return Score(
            self.metric,
            self.value,
            self.target,
            self.passed,
            self.unit,
            self.sense,
            self.reference,
            self.high_target,
            self.high,
        )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The scores of an accuracy run."""

    scores: tuple[JudgedScore, ...]

    @property
    def failed(self) -> tuple[JudgedScore, ...]:
        """Scores that miss their target."""
        return tuple(score for score in self.scores if not score.passed)

    @property
    def passed(self) -> bool:
        """Whether every score meets its target."""
        return not self.failed

    @property
    def high(self) -> bool | None:
        """Whether every score that has a higher level reaches it; None where none has."""
        levels = [score.high for score in self.scores if score.high is not None]
        return all(levels) and self.passed if levels else None

    def reply(self) -> Scores:
        """The decisive score, the first that failed or else the first of all, and the list of them."""
        decisive = (*self.failed, *self.scores)[0]
        whole = replace(decisive.reply(), passed=self.passed, high=self.high)
        return Scores(**vars(whole), scores=tuple(score.reply() for score in self.scores))


@dataclass(frozen=True, slots=True)
class SyntheticKind:
    """Kind of a synthetic set: its size, the number of its samples, its ground truth."""

    size: SyntheticSize
    samples: int | None = None
    """None for that of the size."""
    labels: SyntheticLabels = SyntheticLabels.DAMAGED

    @property
    def whole(self) -> bool:
        """Whether the ground truth is all that the network answers."""
        return self.labels is SyntheticLabels.WHOLE

    def count(self, usual: int) -> int:
        """The number of samples. usual: that of the size."""
        return self.samples or usual

    def name(self, usual: int) -> str:
        """What the cache calls it: the size, and whatever is not as usual."""
        count = self.count(usual)
        parts = [self.size, *([f"n{count}"] if count != usual else []), *([self.labels] if self.whole else [])]
        return "-".join(parts)

    def known_counts(self, usual: int) -> range:
        """Counts of first samples whose score is worth knowing: every one in a small set, all of a larger one."""
        count = self.count(usual)
        return range(1 if count <= usual else count, count + 1)

    @property
    def facts(self) -> dict[str, Any]:
        """What its facts begin with."""
        return {"size": self.size.value, **({"synthetic_labels": self.labels.value} if self.whole else {})}


@dataclass(frozen=True, slots=True)
class SyntheticSet:
    """A synthetic data set in the official layout, its weights, and what is known about it."""

    data: Path
    """Folder of the data set."""
    weights: Path
    """Path of a safetensors file with canonical names."""
    facts: Mapping[str, Any]

    def known(self, score: str, count: int) -> float:
        """The *score* of the first *count* samples; the facts list it for growing counts, at last for the whole set."""
        value: float = self.facts[score][count - 1 - self.facts["count"]]
        return value


@dataclass(frozen=True, slots=True)
class Parity:
    """Difference of two backends' outputs for the same samples."""

    largest_difference: float
    """Largest difference of a value, relative to the largest value of its tensor."""
    agreement: float
    """Share of decisions (labels, detections) that are the same."""
