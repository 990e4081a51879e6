"""SQuAD v1.1's development set and BERT's vocabulary, as MLPerf uses them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any
from unicodedata import combining

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.bert.features import Features, build
from mlperf_docker.harness.models.bert.wordpiece import SPECIAL, Vocabulary
from mlperf_docker.harness.system import data_files

FILE = "dev-v1.1.json"
VOCABULARY = "vocab.txt"
SQUAD_VERSION = "1.1"
OFFICIAL = {FILE: "3e85deb501d4e538b6bc56f786231552", VOCABULARY: "64800d5d8528ce344256daf115d4965e"}
"""MD5 of the files that the reference value was measured with."""
OFFICIAL_QUESTIONS, OFFICIAL_FEATURES = 10570, 10833
MOST = 16 * data_files.MIB
"""Bytes of a file; SQuAD has 4.9 MB."""
LONGEST_TEXT, MOST_ACCENTS = 200_000, 100
"""Characters of a paragraph or a question, of which the longest has 4063, and accents on one character."""

_HINT = "See where both files are with: mlperf-docker data list"


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the paragraph number *context*."""

    id: str
    text: str
    context: int
    answers: tuple[str, ...]
    """Texts that count as right, at least one."""


@dataclass(eq=False)
class Squad:
    """The questions in the file's order."""

    contexts: tuple[str, ...]
    questions: tuple[Question, ...]
    vocabulary: Vocabulary
    limit: int | None
    """Number of features (LoadGen's samples); None for all."""
    identity: str
    """A digest over both files; the same files at another path have the same."""
    official: bool
    """Both are those that the reference value was measured with."""
    size_bytes: int
    _all: Features | None = field(default=None, repr=False)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return self.features.count

    @property
    def all_features(self) -> Features:
        """Features of all questions, whatever the limit; made at the first use."""
        if self._all is None:
            context_of = [question.context for question in self.questions]
            texts = [question.text for question in self.questions]
            try:
                self._all = build(self.contexts, texts, context_of, self.vocabulary)
            except BadSample as problem:
                raise DatasetError(f"SQuAD's paragraphs are too long: {problem}", hint=_HINT) from problem
        return self._all

    def adopt(self, features: Features) -> None:
        """Take *features* from a cache instead of making them."""
        self._all = features

    @cached_property
    def features(self) -> Features:
        """The samples: the first *limit* features."""
        return self.all_features.first_ones(self.limit)

    @property
    def scored(self) -> int:
        """How many questions count: all, or with a limit those up to the last one that has a feature within it.

        A question whose windows are cut off by the limit is scored by those that are left, just as upstream scores
        by the windows that are in the log. One whose paragraph is empty has no window; it counts, and cannot be right.
        """
        if self.features.count == self.all_features.count:
            return len(self.questions)
        return int(self.features.question[-1]) + 1


def _read(path: Path) -> bytes:
    try:
        return data_files.read_bytes(path, most=MOST, hint=_HINT)
    except data_files.MissingFile:
        what = "vocabulary" if path.name == VOCABULARY else "SQuAD v1.1"
        message = f"{path.parent} has no {what}: {path.name} was not found there"
        raise DatasetError(message, hint=_HINT) from None


def _text(path: Path, data: bytes) -> str:
    try:
        return data_files.decoded(data)
    except BadSample as problem:
        raise DatasetError(f"{path} is {problem}", hint=_HINT) from problem


def _vocabulary(path: Path, text: str) -> Vocabulary:
    """A piece a line. Only line ends divide: a line may be a blank of some other kind."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tokens = lines[:-1] if not lines[-1] else lines
    missing = [token for token in SPECIAL if token not in tokens]
    if missing:
        message = f"{path} is no BERT vocabulary: it lacks {', '.join(missing)}"
        raise DatasetError(message, hint=_HINT, details=[f"it has {len(tokens)} lines"])
    if tokens[0] != SPECIAL[0]:
        first = data_files.shown(tokens[0])
        raise DatasetError(f"{path} is no BERT vocabulary: line 1 is {first}, not {SPECIAL[0]}", hint=_HINT)
    return Vocabulary(tokens)


def _articles(path: Path, text: str) -> list[Any]:
    """The articles of the JSON file. Raises DatasetError if it is another file, or another version of SQuAD."""
    raw = data_files.parse(path, text, hint=_HINT)
    if not isinstance(raw, dict) or not isinstance(raw.get("data"), list):
        raise DatasetError(f"{path} is not SQuAD: it has no list `data`", hint=_HINT)
    version = raw.get("version")
    if version != SQUAD_VERSION:
        other = "lacks a version" if version is None else f"is version {data_files.shown(version)} of SQuAD"
        raise DatasetError(f"{path} {other}; the benchmark uses {SQUAD_VERSION}", hint=_HINT)
    if not raw["data"]:
        raise DatasetError(f"{path} asks no question: its list is empty", hint=_HINT)
    articles: list[Any] = raw["data"]
    return articles


def _listed(where: str, value: Any, key: str, found: list[str]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (JSON)
    """The entries of the list *key*, with their places; a line in *found* if there is no such list."""
    entries = value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list):
        found.append(f"{where}: lacks the list {key}")
        return
    for number, entry in enumerate(entries):
        yield f"{where}.{key}[{number}]", entry


def _lacking(value: Any, keys: Sequence[str]) -> list[str]:  # noqa: ANN401
    return [key for key in keys if not isinstance(value, dict) or not isinstance(value.get(key), str)]


def _text_problem(text: str) -> str | None:
    """Why nobody wrote *text*: tokenising it would take all memory, or hours."""
    if len(text) > LONGEST_TEXT:
        return f"has {len(text)} characters, more than {LONGEST_TEXT}"
    if text.isascii() or len(text) <= MOST_ACCENTS:
        return None
    # Accents on one character are sorted, in a time that grows with the square of their number.
    runs = (sum(1 for _ in run) for accent, run in groupby(text, lambda each: combining(each) != 0) if accent)
    most = max(runs, default=0)
    return f"has {most} accents in a row, more than {MOST_ACCENTS}" if most > MOST_ACCENTS else None


def _answer_problem(answer: Any, context: str) -> str | None:  # noqa: ANN401
    if _lacking(answer, ("text",)) or not answer["text"]:
        return "lacks a text, or it is empty"
    start = answer.get("answer_start", 0)
    if not isinstance(start, int) or isinstance(start, bool):
        return f"begins at {data_files.shown(start)}, which is no whole number"
    if context.strip() and not 0 <= start <= len(context) - len(answer["text"]):
        return f"is out of the paragraph: {len(answer['text'])} characters at {start}, of {len(context)}"
    return None


def _question(where: str, entry: Any, context: int, text: str, found: list[str]) -> Iterator[Question]:  # noqa: ANN401
    """The question that *entry* is, about paragraph number *context*, whose text is *text*; else lines in *found*."""
    lacking = _lacking(entry, ("id", "question"))
    if lacking:
        found.append(f"{where}: lacks the text {', '.join(lacking)}")
        return
    if "is_impossible" in entry:
        found.append(f"{where}: has is_impossible, which belongs to SQuAD v2")
        return
    problem = _text_problem(entry["question"])
    if problem:
        found.append(f"{where}.question: {problem}")
        return
    answers = list(_listed(where, entry, "answers", found))
    problems = [f"{place}: {why}" for place, answer in answers if (why := _answer_problem(answer, text))]
    found += problems
    if not answers and isinstance(entry.get("answers"), list):
        found.append(f"{where}: has no answer")
    if answers and not problems:
        yield Question(entry["id"], entry["question"], context, tuple(answer["text"] for _, answer in answers))


def _parse(path: Path, articles: list[Any]) -> tuple[list[str], list[Question]]:
    """Paragraphs and questions. Raises DatasetError with every problem counted and ten named."""
    contexts: list[str] = []
    questions: list[Question] = []
    found: list[str] = []
    for number, article in enumerate(articles):
        for place, paragraph in _listed(f"data[{number}]", article, "paragraphs", found):
            context = "" if _lacking(paragraph, ("context",)) else paragraph["context"]
            problem = "lacks the text context" if _lacking(paragraph, ("context",)) else _text_problem(context)
            if problem:
                found.append(f"{place}: {problem}")
            contexts.append(context)
            for where, entry in _listed(place, paragraph, "qas", found):
                questions += _question(where, entry, len(contexts) - 1, context, found)
    ids = (question.id for question in questions)
    found += (f"question {_plain(each)}: this id is there already" for _, each in data_files.twice(ids))
    if found:
        count = f"{len(found)} {'entry' if len(found) == 1 else 'entries'}"
        raise DatasetError(f"{path} has {count} that cannot be right", hint=_HINT, details=first_ten(found))
    return contexts, questions


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= data_files.SHOWN else data_files.shown(name)


def open_squad(root: Path, *, limit: int | None = None) -> Squad:
    """Read and check dev-v1.1.json and vocab.txt below *root*. Raises DatasetError."""
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    files = {name: _read(root / name) for name in (FILE, VOCABULARY)}
    vocabulary = _vocabulary(root / VOCABULARY, _text(root / VOCABULARY, files[VOCABULARY]))
    contexts, questions = _parse(root / FILE, _articles(root / FILE, _text(root / FILE, files[FILE])))
    if not questions:
        raise DatasetError(f"{root / FILE} asks no question", hint=_HINT)
    digests = [hashlib.sha256(data).hexdigest() for data in files.values()]
    return Squad(
        contexts=tuple(contexts),
        questions=tuple(questions),
        vocabulary=vocabulary,
        limit=limit,
        identity=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        official=all(_md5(files[name]) == md5 for name, md5 in OFFICIAL.items()),
        size_bytes=sum(map(len, files.values())),
    )


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def verify(squad: Squad, report: Report) -> Mapping[str, Any]:
    """Tokenise everything; give facts for people. Raises DatasetError if the official files give other features."""
    features = squad.features
    report(features.count, features.count, "samples")
    if not features.count:
        raise DatasetError("no paragraph of the data set has any text")
    counts = (len(squad.questions), squad.all_features.count)
    if squad.official and counts != (OFFICIAL_QUESTIONS, OFFICIAL_FEATURES):
        expected = f"{OFFICIAL_QUESTIONS} questions and {OFFICIAL_FEATURES} features"
        raise DatasetError(f"the official files gave {counts[0]} questions and {counts[1]} features, not {expected}")
    return {
        "official": squad.official,
        "questions": len(squad.questions),
        "paragraphs": len(squad.contexts),
        "features": features.count,
        "longest": int(features.lengths.max()),
        "mean_length": round(float(features.lengths.mean()), 1),
        "vocabulary": squad.vocabulary.size,
        "bytes": squad.size_bytes,
    }
