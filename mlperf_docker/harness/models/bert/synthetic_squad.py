"""Synthetic text in the official layout of SQuAD v1.1: vocabulary, paragraphs and questions of a made-up language.

Its words are syllables that mean nothing, but text and tokens have SQuAD's statistics: lengths, numbers, names, quotes,
accents and other scripts, words of several pieces and words that the vocabulary does not have.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.harness.models.bert.dataset import FILE, SQUAD_VERSION, VOCABULARY
from mlperf_docker.harness.models.bert.wordpiece import SPECIAL
from mlperf_docker.harness.system.files import write_atomically, write_json

_SPECIAL_AT = 100
"""Where the official vocabulary has [UNK], [CLS], [SEP] and [MASK]; before and behind them stand unused pieces."""
_UNUSED = 994
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyz"
_FOREIGN = (
    *"£§°±·ßæðøþđħłœ日本語東京中国人大学山川",
    *(chr(code) for code in (*range(0x3B1, 0x3CA), *range(0x430, 0x450), *range(0x5D0, 0x5EB), *range(0x915, 0x93A))),
    *"\u2013\u2014\u2018\u2019\u201c\u201d\u2020\u2022\u2026\u20ac",
)
"""Letters and marks beyond ASCII, as they are after accents were taken off."""
_COMMON = (
    *("the", "of", "and", "to", "in", "a", "was", "is", "for", "as", "on", "with", "by", "that", "at", "from", "his"),
    *("it", "an", "were", "are", "which", "he", "be", "this", "had", "has", "its", "or", "but", "their", "not", "also"),
    *("they", "have", "been", "who", "after", "one", "first", "two", "would", "into", "other", "when", "there", "more"),
    *("between", "all", "during", "most", "about", "over", "can", "some", "than", "new", "under", "only", "where"),
)
_QUESTION_WORDS = ("what", "why", "how", "many")
_ASKING = ("What", "Who", "When", "Where", "Which", "How many", "Why", "In what", "How")
_ENDINGS = ("s", "ed", "ing", "er", "ly", "ness", "al", "ism", "ian", "ment")
_ONSETS = (
    "b",
    "br",
    "c",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
)
_NUCLEI = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "", "n", "r", "l", "s", "t", "m", "nd", "ck")
_ACCENTED = {"a": "á", "e": "é", "i": "ï", "o": "ö", "u": "u\u0308", "n": "ñ", "c": "ç"}
_RARE = (
    *(
        "東京大学",
        "中国",
        "שלום",
        "नमस्ते",
        "\u0432\u043e\u0434\u0430",
        "\u03bc\u03ad\u03c1\u03bf\u03c2",
    ),
    *("\U0001f600", "\u2163", "½", "\u200bx", "\u01c4", "\u03a3.", "C++", "naïve-ish"),
)
"""Words in other scripts, and characters that are seldom: a zero-width space, letters of two, a sigma at the end."""


@dataclass(frozen=True, slots=True)
class Language:
    """Words to write with."""

    vocabulary: tuple[str, ...]
    known: tuple[str, ...]
    """Words in the vocabulary, the frequent ones first."""
    syllables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words of a paragraph: median, spread of the logarithm, bounds.

    Every *long_every*th one takes several windows.
    """

    median: float
    spread: float
    bounds: tuple[int, int]
    long_every: int
    long_bounds: tuple[int, int]
    """Bounds of a long paragraph's words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that counts as right, and where the paragraph has it."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph and the questions about it."""

    context: str
    questions: tuple[str, ...]


def draw_language(size: int, rng: np.random.Generator) -> Language:
    """A vocabulary of exactly *size* pieces, in the order of the official one.

    Up to 500 pieces are the rest of a word; a small vocabulary leaves most of the unused pieces out.
    """
    many = size > 10_000
    unused = [f"[unused{number}]" for number in range(_UNUSED if many else _SPECIAL_AT - 1)]
    pieces = [SPECIAL[0], *unused[: _SPECIAL_AT - 1], *SPECIAL[1:], *unused[_SPECIAL_AT - 1 :]]
    pieces += [*_PUNCTUATION, *_ALPHANUMERIC, *_FOREIGN, *_COMMON, *_QUESTION_WORDS]
    pieces = list(dict.fromkeys(pieces))
    syllables = [f"{o}{n}{c}" for o in _ONSETS for n in _NUCLEI for c in dict.fromkeys(_CODAS)]
    syllables = [syllables[number] for number in rng.permutation(len(syllables))]
    rest = [*_ALPHANUMERIC, *_ENDINGS, *(s for s in syllables if many or len(s) == 2)][: 1500 if many else 150]
    endings = [f"##{piece}" for piece in dict.fromkeys(rest)]
    room = size - len(pieces) - len(endings)
    known: dict[str, None] = {}
    while len(known) < room:
        word = _word(syllables, rng)
        if word not in _COMMON and len(word) > 1:
            known[word] = None
    return Language((*pieces, *known, *endings), tuple(known), tuple(syllables))


def _word(syllables: Sequence[str], rng: np.random.Generator) -> str:
    return "".join(syllables[number] for number in rng.integers(len(syllables), size=rng.choice([1, 2, 2, 3])))


class Writer:
    """Writes text in a language; the same text from a generator with the same seed."""

    def __init__(self, language: Language, lengths: Lengths, rng: np.random.Generator) -> None:
        self._language = language
        self._lengths = lengths
        self._rng = rng

    def paragraphs(self) -> Iterator[Paragraph]:
        """Paragraphs without end, each with one to three questions."""
        for number in count(1):
            context = self._context(long=number % self._lengths.long_every == 0)
            yield Paragraph(context, tuple(self._question() for _ in range(self._rng.integers(1, 4))))

    def _context(self, *, long: bool) -> str:
        lengths = self._lengths
        if long:
            wanted = float(self._rng.integers(*lengths.long_bounds))
        else:
            wanted = lengths.median * float(np.exp(lengths.spread * self._rng.standard_normal()))
            wanted = float(np.clip(wanted, *lengths.bounds))
        sentences: list[str] = []
        words = 0
        while words < wanted:
            part = min(int(self._rng.integers(6, 26)), max(int(wanted) - words, 4))
            sentences.append(self._sentence(part))
            words += part
        return " ".join(sentences)

    def _sentence(self, length: int) -> str:
        words = [self._any_word() for _ in range(length)]
        words[0] = words[0][:1].upper() + words[0][1:]
        for at in self._rng.integers(0, length, size=length // 8):
            words[at] = self._marked(words[at])
        return " ".join(words).rstrip(",") + str(self._rng.choice([".", ".", ".", ".", "!", ";"]))

    def _marked(self, word: str) -> str:
        forms = (
            f"{word},",
            f"{word},",
            f'"{word}"',
            f"({word})",
            f"{word}'s",
            f"\u201c{word}\u201d",
            f"{word}-{self._content()}",
        )
        return forms[self._rng.integers(len(forms))]

    def _any_word(self) -> str:
        kind = self._rng.random()
        if kind < 0.42:
            return _COMMON[int(len(_COMMON) * self._rng.random() ** 2.5)]
        if kind < 0.47:
            return self._number()
        if kind < 0.475:
            return _RARE[self._rng.integers(len(_RARE))]
        if kind < 0.50:
            return _word(self._language.syllables, self._rng)
        word = self._content()
        return word.capitalize() if kind > 0.9 else word

    def _content(self) -> str:
        """A word of the vocabulary, the first ones far more often than the last, at times with an ending or accents."""
        known = self._language.known
        word = known[int(len(known) * self._rng.random() ** 3)]
        kind = self._rng.random()
        if kind < 0.15:
            return word + _ENDINGS[self._rng.integers(len(_ENDINGS))]
        return "".join(_ACCENTED.get(letter, letter) for letter in word) if kind < 0.18 else word

    def _number(self) -> str:
        year, value = int(self._rng.integers(1000, 2030)), int(self._rng.integers(1, 1_000_000))
        forms = (
            str(year),
            f"{value:,}",
            str(value % 100),
            f"{value % 1000 / 10}%",
            f"{year}\u2013{year % 100}",
            f"${value}",
        )
        return forms[self._rng.integers(len(forms))]

    def _question(self) -> str:
        length = int(self._rng.integers(4, 17)) if self._rng.random() > 0.03 else 70
        words = [_ASKING[self._rng.integers(len(_ASKING))], *(self._any_word() for _ in range(length))]
        return " ".join(words) + "?"


def write_vocabulary(folder: Path, language: Language) -> None:
    """Write vocab.txt, a piece a line."""
    write_atomically(folder / VOCABULARY, ("\n".join(language.vocabulary) + "\n").encode())


def write_questions(
    folder: Path, paragraphs: Sequence[Paragraph], answers: Sequence[Sequence[Sequence[Answer]]], per_article: int = 8
) -> None:
    """Write dev-v1.1.json, with the answers to each question of each paragraph."""
    written = [_paragraph(number, *pair) for number, pair in enumerate(zip(paragraphs, answers, strict=True))]
    articles = [
        {"title": f"Article_{at // per_article}", "paragraphs": written[at : at + per_article]}
        for at in range(0, len(written), per_article)
    ]
    write_json(folder / FILE, {"data": articles, "version": SQUAD_VERSION})


def _paragraph(number: int, paragraph: Paragraph, answers: Sequence[Sequence[Answer]]) -> dict[str, Any]:
    questions = [
        {
            "answers": [{"answer_start": answer.start, "text": answer.text} for answer in right],
            "question": text,
            "id": f"5f3d{number:012x}{at:08x}",
        }
        for at, (text, right) in enumerate(zip(paragraph.questions, answers, strict=True))
    ]
    return {"context": paragraph.context, "qas": questions}
