"""Word error rate from LoadGen's accuracy log, as upstream's accuracy_eval.py computes it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.harness.api.errors import DatasetError, SampleError, first_ten
from mlperf_docker.harness.architectures.rnnt import BLANK
from mlperf_docker.harness.models.rnnt import vocabulary
from mlperf_docker.harness.models.rnnt.dataset import LibriSpeech

LABEL = np.dtype(np.int64)
"""Of each character in a payload, which is empty where nothing was heard."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors of all answers."""

    errors: int
    """Number of words to insert, delete or change until all answers are right."""
    words: int
    """Number of words that were said, at least one."""

    @property
    def rate(self) -> float:
        """Above 1 where more words are wrong than were said."""
        return self.errors / self.words

    @property
    def accuracy(self) -> float:
        """100 - WER, in percent, with upstream's rounding."""
        return (1 - self.rate) * 100

    def __str__(self) -> str:
        return f"Word Error Rate: {self.rate * 100}%, accuracy={self.accuracy}%"


def distance(answer: Sequence[str], reference: Sequence[str]) -> int:
    """Fewest insertions, deletions and changes that make one of the other."""
    # Row by row through the table of all their beginnings; before[n]: with the first n words of the reference.
    before = list(range(len(reference) + 1))
    for row, word in enumerate(answer, start=1):
        last = row
        line = [row]
        for column, said in enumerate(reference):
            last = min(before[column] + (word != said), before[column + 1] + 1, last + 1)
            line.append(last)
        before = line
    return before[-1]


def compare(answers: Iterable[str], references: Iterable[str]) -> WordErrors:
    """Count errors over all utterances together. Raises DatasetError if the references have no words."""
    errors = words = 0
    for answer, reference in zip(answers, references, strict=True):
        said = reference.split()
        errors += distance(answer.split(), said)
        words += len(said)
    if not words:
        raise DatasetError("the transcripts have no words: there is no word error rate")
    return WordErrors(errors, words)


def score(log: Path, dataset: LibriSpeech, *, part: bool = False) -> WordErrors:
    """Compare each utterance's answer, the first if there are several, with its transcript.

    part: whether utterances may be missing, which do not count then. Raises SampleError, with all findings, unless
    every utterance has an answer that can be one.
    Source: mlcommons/inference, speech_recognition/rnnt/accuracy_eval.py and pytorch/metrics.py.
    """
    answers: dict[int, str] = {}
    problems: list[str] = []
    for entry in _entries(log):
        try:
            index, data = int(entry["qsl_idx"]), bytes.fromhex(entry["data"])
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"no answer: {str(entry)[:60]} ({error!r})")
            continue
        if not 0 <= index < dataset.count:
            problems.append(f"sample {index}: the data set has {dataset.count}")
        elif problem := _problem(data):
            problems.append(f"sample {index}: {problem}")
            answers.setdefault(index, "")
        else:
            answers.setdefault(index, vocabulary.text(np.frombuffer(data, LABEL).tolist()))
    counted = sorted(answers) if part and answers else range(dataset.count)
    problems += [f"{dataset.utterances[index].name}: not answered" for index in counted if index not in answers]
    if problems:
        what = f"{log} has {len(problems)} answers that are missing or cannot be"
        raise SampleError(what, details=first_ten(problems))
    said = (dataset.utterances[index].transcript for index in counted)
    return compare((answers[index] for index in counted), said)


def _entries(log: Path) -> list[Any]:
    try:
        entries = json.loads(log.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SampleError(f"{log} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise SampleError(f"{log} is no list of answers")
    return entries


def _problem(data: bytes) -> str | None:
    """Why these bytes are no labels, or None."""
    if len(data) % LABEL.itemsize:
        return f"{len(data)} bytes, not {LABEL.itemsize} for each label"
    odd = sorted({label for label in np.frombuffer(data, LABEL).tolist() if not 0 <= label < BLANK})
    return f"the label {odd[0]}; there are 0 to {BLANK - 1}" if odd else None
