"""F1 and exact match from LoadGen's accuracy log, as accuracy-squad.py and evaluate_v1.1.py compute them."""

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.models.bert.answers import predict
from mlperf_docker.harness.models.bert.dataset import Squad
from mlperf_docker.harness.models.bert.features import LENGTH
from mlperf_docker.harness.models.bert.payload import NOWHERE

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class SquadScores:
    """Both in percent, over all questions that count. As text: the line that the submission checker reads."""

    exact_match: float
    f1: float

    def __str__(self) -> str:
        return json.dumps({"exact_match": self.exact_match, "f1": self.f1})


@lru_cache(maxsize=1 << 16)
def normalised(text: str) -> str:
    """Lower case, without punctuation (ASCII's), articles and blanks in excess."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def f1(predicted: str, answer: str) -> float:
    """Harmonic mean of precision and recall over the words of both, 0 to 1; 0 where neither has a word."""
    ours, theirs = normalised(predicted).split(), normalised(answer).split()
    same = sum((Counter(ours) & Counter(theirs)).values())
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return (2 * precision * recall) / (precision + recall)


def evaluate(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> SquadScores:
    """The mean over questions of what the best of each one's *answers* gives.

    Summed in the questions' order, so that the last digit is upstream's too.
    """
    exact, total = 0, 0.0
    for predicted, right in zip(predictions, answers, strict=True):
        exact += any(normalised(predicted) == normalised(answer) for answer in right)
        total += max(f1(predicted, answer) for answer in right)
    return SquadScores(100.0 * exact / len(predictions), 100.0 * total / len(predictions))


def read_log(log: Path, squad: Squad) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Features that the log answers, and their logits (n, 384, 2); of two answers to a feature the last counts.

    A payload may be shorter than 384 positions. Raises SampleError.
    """
    answers = {entry["qsl_idx"]: entry["data"] for entry in json.loads(log.read_text(encoding="utf-8"))}
    rows = np.array(list(answers), dtype=np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < squad.count:
        raise SampleError(f"{log} has samples that the data set of {squad.count} features does not")
    logits = np.full((len(rows), 2 * LENGTH), NOWHERE, dtype=np.float32)
    for row, (sample, data) in zip(logits, answers.items(), strict=True):
        try:
            values = np.frombuffer(bytes.fromhex(data), dtype=np.float32)
        except ValueError as error:
            raise SampleError(f"{log} has an answer to sample {sample} that cannot be: {error}") from error
        if len(values) > len(row) or len(values) % 2:
            raise SampleError(f"{log} has {len(values)} values for sample {sample}, not up to {LENGTH} pairs")
        row[: len(values)] = values
    if not np.isfinite(logits).all():
        bad = rows[~np.isfinite(logits).all(axis=1)]
        raise SampleError(f"{log} has values that are no numbers for {len(bad)} samples, the first is {bad[0]}")
    return rows, logits.reshape(-1, LENGTH, 2)


def score(log: Path, squad: Squad) -> SquadScores:
    """Compare the answers with those of the questions that count. Raises SampleError for a log that cannot be."""
    return evaluate(predict(*read_log(log, squad), squad), [q.answers for q in squad.questions[: squad.scored]])
