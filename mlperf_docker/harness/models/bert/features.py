"""Features of SQuAD: windows of up to 384 tokens, as upstream's create_squad_data.py cuts them.

A feature is [CLS] question [SEP] part of the paragraph [SEP]. A paragraph that does not fit is cut into windows that
overlap; which feature is LoadGen's sample number n is settled by the order of questions, then windows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample
from mlperf_docker.harness.models.bert.wordpiece import SEPARATOR, START, Vocabulary

VERSION = "bert-384-1"
"""Changed whenever the same text would give other features."""
LENGTH = 384
LONGEST_QUESTION = 64
STRIDE = 128

MOST = 50_000
"""Features; SQuAD has 10,833, and one takes some 20 kB while all are made."""

_WORD = re.compile("[^ \t\r\n\u202f]+")


@dataclass(frozen=True, slots=True)
class Features:
    """All features, a row each."""

    ids: NDArray[np.int32]
    """(n, 384) int32, 0 behind the end."""
    lengths: NDArray[np.int64]
    """(n,) number of tokens."""
    first: NDArray[np.int64]
    """(n,) position of the first token that is the paragraph's."""
    question: NDArray[np.int64]
    """(n,) number of the question."""
    words: NDArray[np.int32]
    """(n, 384) int32, number of the paragraph's word that a token belongs to, -1 for tokens that are not the
    paragraph's."""
    central: NDArray[np.bool_]
    """(n, 384) bool, true where no other window has more text on both sides of the token; only there may an answer
    begin."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.lengths)

    def first_ones(self, count: int | None) -> "Features":
        """The first *count* features."""
        return self if count is None else Features(**{name: array[:count] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def split_words(context: str) -> list[str]:
    """Words of a paragraph. Blank, tab, line ends and U+202F divide; every other blank of Unicode is part of a word."""
    return _WORD.findall(context)


def windows(tokens: int, room: int) -> list[tuple[int, int]]:
    """Start and length of each window over a paragraph of *tokens* tokens; none over an empty one.

    The next one starts 128 tokens later until one reaches the end. (Upstream's step is at most the window's length,
    which never is the smaller one: a question leaves room for at least 317.)
    """
    count = -(-max(tokens - room, 0) // STRIDE) + 1 if tokens else 0
    return [(STRIDE * at, min(room, tokens - STRIDE * at)) for at in range(count)]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A tokenised paragraph: numbers of its pieces, and the word that each belongs to."""

    ids: NDArray[np.int32]
    words: NDArray[np.int32]


def _cut(context: str, vocabulary: Vocabulary) -> _Cut:
    pieces = [vocabulary.pieces(word) for word in split_words(context)]
    counts = [len(part) for part in pieces]
    ids = np.fromiter((number for part in pieces for number in part), dtype=np.int32, count=sum(counts))
    return _Cut(ids, np.repeat(np.arange(len(pieces), dtype=np.int32), counts))


def build(
    contexts: Sequence[str], questions: Sequence[str], context_of: Sequence[int], vocabulary: Vocabulary
) -> Features:
    """The features of all *questions*, in their order; context_of: number of each one's paragraph.

    One process does SQuAD's 10,570 questions in about a second, because a word is cut only the first time it is seen,
    and a paragraph once for all its questions: so there is nothing to resume and nothing to spread over processes.
    Raises BadSample for more features than memory should hold.
    """
    cuts = [_cut(context, vocabulary) for context in contexts]
    queries = [np.array(vocabulary.pieces(text)[:LONGEST_QUESTION], dtype=np.int32) for text in questions]
    found = (
        (question, at, length)
        for question, (query, context) in enumerate(zip(queries, context_of, strict=True))
        for at, length in windows(len(cuts[context].ids), LENGTH - len(query) - 3)
    )
    spans = list(islice(found, MOST + 1))
    if len(spans) > MOST:
        longest = max(range(len(cuts)), key=lambda each: len(cuts[each].ids))
        raise BadSample(f"more than {MOST} features; number {longest} has {len(cuts[longest].ids)} tokens")
    question, _, length = np.array(spans, dtype=np.int64).reshape(-1, 3).T.copy()
    first = np.array([len(query) for query in queries], dtype=np.int64)[question] + 2
    ids = np.zeros((len(spans), LENGTH), dtype=np.int32)
    words = np.full((len(spans), LENGTH), -1, dtype=np.int32)
    begin, separator = vocabulary.numbers[START], vocabulary.numbers[SEPARATOR]
    for row, (number, at, size) in enumerate(spans):
        query, cut, behind = queries[number], cuts[context_of[number]], len(queries[number]) + 2
        ids[row, 0], ids[row, 1 : behind - 1], ids[row, behind - 1] = begin, query, separator
        ids[row, behind : behind + size] = cut.ids[at : at + size]
        ids[row, behind + size] = separator
        words[row, behind : behind + size] = cut.words[at : at + size]
    return Features(ids, first + length + 1, first, question, words, _central(question, length, first))


def _central(question: NDArray[np.int64], length: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where each window has a token more in its middle than the question's other windows have; of equals the first.

    How much in the middle is the smaller of the tokens on both sides and 0.01 times the window's length, in double
    precision, whose rounding decides some ties. Neighbours are compared, which is enough: where a token is in two
    windows with one between them, that one has 128 tokens more than the one or the other on the side that counts.
    """
    place = np.arange(LENGTH) - first[:, None]
    own = _context(place, length)
    central: NDArray[np.bool_] = own > -np.inf
    rows = np.flatnonzero(question[1:] == question[:-1]) + 1
    before = rows - 1
    central[rows] &= own[rows] > _context(place[rows] + STRIDE, length[before])
    central[before] &= own[before] >= _context(place[before] - STRIDE, length[rows])
    return central


def _context(place: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.float64]:
    """Upstream's measure for tokens at *place* in windows of *length*, a row each; -inf for those outside."""
    left, right = place, length[:, None] - 1 - place
    nearest = np.minimum(left, right)
    return np.where(nearest < 0, -np.inf, nearest + 0.01 * length[:, None])
