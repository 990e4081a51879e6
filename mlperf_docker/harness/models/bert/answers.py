"""Answers to questions, from logits to text, as upstream's accuracy-squad.py finds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.models.bert.dataset import Squad
from mlperf_docker.harness.models.bert.features import Features, split_words
from mlperf_docker.harness.models.bert.wordpiece import basic_words

BEST = 20
"""Starts and ends of a feature that are paired."""
LONGEST_ANSWER = 30
"""In tokens."""
NONE = "empty"
"""The answer to a question for which no pair may be one."""

_ROWS = 512
"""Features that are looked at together: their tables stay in the cache."""


@dataclass(frozen=True, slots=True)
class Spans:
    """The best span of each feature. All arrays are (n,)."""

    row: NDArray[np.int64]
    """Row of the feature."""
    start: NDArray[np.int64]
    """First position."""
    end: NDArray[np.int64]
    """Last position."""
    score: NDArray[np.float64]
    """Sum of the start's and the end's logit; -inf if there is no span."""

    def of(self, chosen: NDArray[np.int64]) -> "Spans":
        """The rows *chosen*."""
        return Spans(self.row[chosen], self.start[chosen], self.end[chosen], self.score[chosen])


def best_spans(rows: NDArray[np.int64], logits: NDArray[np.float32], features: Features) -> Spans:
    """The best span of the features *rows*, whose logits (n, 384, 2) are finite; of equals the first one in rank.

    Only the 20 best starts and ends of all 384 positions are paired, before anything is rejected.
    """
    parts = [
        _best(rows[at : at + _ROWS], logits[at : at + _ROWS], features) for at in range(0, max(len(rows), 1), _ROWS)
    ]
    columns = zip(*((part.start, part.end, part.score) for part in parts), strict=True)
    return Spans(rows, *(np.concatenate(column) for column in columns))


def ranked(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Positions of the 20 largest in each row, falling; of equals the first comes first."""
    return np.argsort(-values, axis=1, kind="stable")[:, :BEST]


def _best(rows: NDArray[np.int64], logits: NDArray[np.float32], features: Features) -> Spans:
    each = np.arange(len(rows))
    starts, ends = ranked(logits[..., 0]), ranked(logits[..., 1])
    mine = features.words[rows] >= 0
    fine = (mine & features.central[rows])[each[:, None], starts][:, :, None] & mine[each[:, None], ends][:, None, :]
    tokens = ends[:, None, :] - starts[:, :, None] + 1
    fine &= (tokens > 0) & (tokens <= LONGEST_ANSWER)
    high = np.take_along_axis(logits[..., 0], starts, axis=1).astype(np.float64)[:, :, None]
    low = np.take_along_axis(logits[..., 1], ends, axis=1).astype(np.float64)[:, None, :]
    scores = np.where(fine, high + low, -np.inf).reshape(len(rows), BEST * BEST)
    chosen = scores.argmax(axis=1)
    return Spans(rows, starts[each, chosen // BEST], ends[each, chosen % BEST], scores[each, chosen])


def best_of_questions(spans: Spans, features: Features) -> dict[int, tuple[int, int, int]]:
    """Feature, start and end of the best span of each question that has one; of equals the first window's.

    spans: in the order of features.
    """
    order = np.lexsort((spans.row, -spans.score, features.question[spans.row]))
    questions = features.question[spans.row[order]]
    first = np.flatnonzero(np.diff(questions, prepend=-1))
    found = spans.of(order[first])
    columns = (questions[first], found.row, found.start, found.end, found.score)
    lines = zip(*(column.tolist() for column in columns), strict=True)
    return {question: (row, start, end) for question, row, start, end, score in lines if score > -np.inf}


def predict(rows: NDArray[np.int64], logits: NDArray[np.float32], squad: Squad) -> list[str]:
    """The answer to each question that counts, out of the logits (n, 384, 2) of the features *rows*.

    Windows that are missing are passed over; a question without any, or without a span that may be one, is answered
    "empty".
    """
    order = np.argsort(rows, kind="stable")
    best = best_of_questions(best_spans(rows[order], logits[order], squad.features), squad.features)
    texts = _Texts(squad)
    return [texts.of(*best[question]) if question in best else NONE for question in range(squad.scored)]


class _Texts:
    """The text of spans, in the paragraph's own writing."""

    def __init__(self, squad: Squad) -> None:
        self._squad = squad
        self._words: dict[int, list[str]] = {}

    def of(self, row: int, start: int, end: int) -> str:
        """The text of the tokens *start* to *end* of feature *row*."""
        features, tokens = self._squad.features, self._squad.vocabulary.tokens
        context = self._squad.questions[int(features.question[row])].context
        if context not in self._words:
            self._words[context] = split_words(self._squad.contexts[context])
        first, last = features.words[row, [start, end]].tolist()
        original = " ".join(self._words[context][first : last + 1])
        return in_own_writing(
            joined([tokens[number] for number in features.ids[row, start : end + 1].tolist()]), original
        )


def joined(pieces: Sequence[str]) -> str:
    """The text of word pieces, as far as they tell it."""
    return " ".join(" ".join(pieces).replace(" ##", "").replace("##", "").split())


def in_own_writing(found: str, original: str) -> str:
    """The part of *original* that *found*, joined from pieces, stands for; all of *original* where that cannot be told.

    Both texts without blanks must have the same number of characters, which are taken to belong together one to one;
    so an accent of its own character, or one that tokenising drops, gives the whole.
    """
    plain = " ".join(basic_words(original))
    at = plain.find(found) if found else -1
    places = [place for place, char in enumerate(original) if char != " "]
    if at < 0 or len(places) != len(plain) - plain.count(" "):
        return original
    end = at + len(found) - 1
    first = places[at - plain.count(" ", 0, at)]
    last = places[end - plain.count(" ", 0, end)]
    return original[first : last + 1]
