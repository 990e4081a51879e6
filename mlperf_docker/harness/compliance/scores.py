"""Scores of both runs' answers to the same samples, which decide where first values differ.

Answers that are numbers of a network differ in their last bits with the batch that a sample was in. Upstream then wants
both scores, and that they are as close as the benchmark's level.
Source: mlcommons/inference, compliance/TEST01/README.md; tools/submission/submission_checker, accuracy_check.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.contract.compliance import MOST_APART, MOST_APART_HIGH
from mlperf_docker.harness.api.scores import Scored
from mlperf_docker.harness.compliance.answers import AnswerComparison
from mlperf_docker.harness.samples import accuracy_log
from mlperf_docker.harness.samples.accuracy_log import IndexedLog

BASELINE_LOG = "mlperf_log_accuracy_baseline.json"
Scorer = Callable[[Path], Scored]
"""Scores a log that has a part of the samples. Raises SampleError or DatasetError where it cannot be scored."""


@dataclass(frozen=True, slots=True)
class ScoresCompared:
    """Scores of the accuracy run's answers, and of the compliance run's."""

    baseline: Scored
    compliance: Scored

    @property
    def difference(self) -> float:
        """The largest relative difference of two scores; infinite where a score is 0."""
        pairs = zip(self.baseline.values, self.compliance.values, strict=True)
        return max(abs(1 - before / now) if before and now else float("inf") for before, now in pairs)

    @property
    def passed(self) -> bool:
        """Whether they are as close as the usual level."""
        return self.difference <= MOST_APART

    @property
    def high(self) -> bool:
        """Whether they are as close as the 99.9 % level."""
        return self.difference <= MOST_APART_HIGH


def compare(score: Scorer, reference: IndexedLog, found: AnswerComparison, log: Path) -> ScoresCompared:
    """Score the accuracy run's answers to the samples that were compared, and those in *log*."""
    baseline = log.with_name(BASELINE_LOG)
    try:
        accuracy_log.extract(reference, list(found.samples), baseline)
        return ScoresCompared(score(baseline), score(log))
    finally:
        baseline.unlink(missing_ok=True)
