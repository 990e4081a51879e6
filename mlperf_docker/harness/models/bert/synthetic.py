"""Synthetic SQuAD with weights that give known answers.

The network is random, so its answers mean nothing; but they differ from question to question. For three questions in
four the data set has the network's answer as a right one, for every fourth one only something like it; whole
labels have it for all. So accuracy mode must reach a known F1, which a lost, repeated or mixed-up answer changes. Only
questions are asked whose answers rounding cannot change: see `is_stable`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.models.bert import synthetic_squad as squads
from mlperf_docker.harness.models.bert.accuracy import evaluate, f1, normalised
from mlperf_docker.harness.models.bert.answers import BEST, LONGEST_ANSWER, NONE, best_of_questions, best_spans, predict
from mlperf_docker.harness.models.bert.dataset import Squad, open_squad
from mlperf_docker.harness.models.bert.features import LENGTH, Features
from mlperf_docker.harness.models.bert.payload import NOWHERE
from mlperf_docker.harness.models.bert.preprocess import TokenSamples
from mlperf_docker.harness.models.bert.synthetic_squad import Answer, Lengths, Paragraph
from mlperf_docker.harness.samples.synthetic import cached_set
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 1
SEED = 20160610
PARTIAL_EVERY = 4
RECENT = 16
"""Questions in a row whose answers all have other positions."""
SAFE = 2e-3
"""Difference of logits that decides something, as a share of their spread. Backends differ by less than a tenth."""
PARTIAL_F1 = (0.3, 0.95)

MakeNetwork = Callable[[SyntheticSize, int, int], Network]
"""Gives a network with random weights: size, pieces of the vocabulary, seed."""


@dataclass(frozen=True, slots=True)
class BertRecipe:
    """Size of a synthetic set."""

    count: int
    spare: float
    """Share of samples made in excess, for questions that are not safe to ask."""
    vocabulary: int
    lengths: Lengths


RECIPES = {
    SyntheticSize.TINY: BertRecipe(64, 0.5, 1000, Lengths(26, 0.5, (8, 80), 9, (230, 330))),
    SyntheticSize.FULL: BertRecipe(160, 0.25, 30522, Lengths(80, 0.42, (25, 230), 25, (300, 450))),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that can be used: the features that are its windows, and the network's answer to it."""

    question: int
    rows: NDArray[np.int64]
    text: str


def synthesize(
    kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report, make_network: MakeNetwork
) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first. Takes seconds (tiny) or some minutes."""
    name = f"bert-{kind.name(RECIPES[kind.size].count)}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(kind, folder, answerer, report, make_network))


def _make(kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report, make_network: MakeNetwork) -> None:
    usual, data = RECIPES[kind.size], folder / "data"
    recipe = replace(usual, count=kind.count(usual.count))
    data.mkdir()
    rng = np.random.default_rng(SEED)
    language = squads.draw_language(recipe.vocabulary, rng)
    squads.write_vocabulary(data, language)
    draft = _draft(data, squads.Writer(language, recipe.lengths, rng), recipe)
    network = make_network(kind.size, recipe.vocabulary, SEED)
    weight_files.write(folder / "weights.safetensors", network.arrays)
    squad = _open(data, draft)
    logits = plain_logits(squad.features, answerer, network, report)
    asked = choose(squad, logits, recipe.count)
    kept = np.concatenate([each.rows for each in asked])
    _finish(data, draft, squad, asked, whole=kind.whole)
    made = open_squad(data)
    if not np.array_equal(made.features.ids, squad.features.ids[kept]):
        raise SampleError("the synthetic questions that were kept have other features than before")
    facts = {**kind.facts, "version": VERSION, "seed": SEED, "count": len(kept), "questions": len(asked)}
    counts = kind.known_counts(usual.count)
    write_json(folder / "synthetic.json", {**facts, **known(data, logits[kept], counts)})


def _open(data: Path, paragraphs: Sequence[Paragraph]) -> Squad:
    """The paragraphs with answers that mean nothing yet."""
    unanswered = [[[Answer("?", 0)] for _ in paragraph.questions] for paragraph in paragraphs]
    squads.write_questions(data, paragraphs, unanswered)
    return open_squad(data)


def _draft(data: Path, writer: squads.Writer, recipe: BertRecipe) -> list[Paragraph]:
    """Paragraphs enough for all samples and the spare ones."""
    paragraphs: list[Paragraph] = []
    source, count = writer.paragraphs(), 0
    while count < recipe.count * (1 + recipe.spare):
        more = [next(source) for _ in range(max(4, recipe.count // 8))]
        count += _open(data, more).count
        paragraphs += more
    return paragraphs


def plain_logits(features: Features, answerer: Answerer, network: Network, report: Report) -> NDArray[np.float32]:
    """Logits (n, 384, 2) by a plain loop, each sample by itself and without padding."""
    samples, run = TokenSamples(features), answerer.predictor(network, "logits").predict
    logits = np.full((samples.count, LENGTH, 2), NOWHERE, dtype=np.float32)
    for index, length in enumerate(features.lengths.tolist()):
        inputs = tuple(np.ascontiguousarray(array[:, :length]) for array in samples.load([index]))
        logits[index, :length] = run(inputs)[0][0]
        report(index + 1, samples.count, "samples")
    return logits


def choose(squad: Squad, logits: NDArray[np.float32], count: int) -> list[Asked]:
    """Questions with *count* windows together that are safe to ask. Raises SampleError if there are too few.

    Left out are those whose answer rounding could change, is none, has no word, is the same as that of another question
    about the paragraph, or is written otherwise in the paragraph; and those whose answer has the same positions as that
    of one of the last questions: exchanging the two samples' logits would not show.
    """
    features = squad.features
    safe = SAFE * float(logits[features.words >= 0].std())
    every = np.arange(features.count)
    answers = predict(every, logits, squad)
    best = best_of_questions(best_spans(every, logits, features), features)
    places = {question: at[1:] for question, at in best.items()}
    recent: deque[tuple[int, ...]] = deque(maxlen=RECENT)
    seen: set[tuple[int, str]] = set()
    chosen: list[Asked] = []
    left = count
    for number, (question, text) in enumerate(zip(squad.questions, answers, strict=True)):
        rows = np.flatnonzero(features.question == number)
        context = squad.contexts[question.context]
        mark = (question.context, normalised(text))
        if not 0 < len(rows) <= left or text == NONE or not mark[1] or mark in seen or text not in context:
            continue
        if places[number] in recent:
            continue
        if is_stable(rows, logits[rows], features, safe) and (not _is_partial(len(chosen)) or _near(context, text)):
            seen.add(mark)
            recent.append(places[number])
            chosen.append(Asked(number, rows, text))
            left -= len(rows)
    if left:
        raise SampleError(f"only {count - left} of {count} synthetic samples are safe to ask: the others are too close")
    return chosen


def is_stable(rows: NDArray[np.int64], logits: NDArray[np.float32], features: Features, safe: float) -> bool:
    """Whether the best span of a question is the same for any change of logits by less than *safe* / 2.

    That has to hold for its first window, its first two, and so on, as a run may end within a question. All spans are
    tried that could come among the 20 best starts and ends: none but the best may come near the best one's score, and
    the best must be among them for sure.
    """
    best, second, sure = -np.inf, -np.inf, True
    for row, values in zip(rows.tolist(), logits.astype(np.float64), strict=True):
        scores = _possible(features.words[row] >= 0, features.central[row], values, safe)
        if scores.max() > best:
            place = np.unravel_index(scores.argmax(), scores.shape)
            sure = all(_lead(values[:, side], position) > safe for side, position in enumerate(place))
        second, best = np.sort([second, best, *np.partition(scores, -2, axis=None)[-2:]])[-2:]
        if best > -np.inf and not (sure and best - second > safe):
            return False
    return bool(best > -np.inf)


def _possible(
    mine: NDArray[np.bool_], central: NDArray[np.bool_], logits: NDArray[np.float64], safe: float
) -> NDArray[np.float64]:
    """Scores (384, 384) of all spans that could be paired if logits were a bit different; -inf for the others."""
    starts, ends = (logits[:, side] > np.partition(logits[:, side], -BEST)[-BEST] - safe for side in (0, 1))
    tokens = np.arange(LENGTH)[None, :] - np.arange(LENGTH)[:, None] + 1
    fine = (starts & mine & central)[:, None] & (ends & mine)[None, :] & (tokens > 0) & (tokens <= LONGEST_ANSWER)
    return np.where(fine, logits[:, 0, None] + logits[None, :, 1], -np.inf)


def _lead(values: NDArray[np.float64], position: Any) -> float:  # noqa: ANN401 (numpy's integer)
    """How far a position is above the best one that is not among the 20; not above 0 if it is none of these itself."""
    return float(values[position] - np.partition(values, -BEST - 1)[-BEST - 1])


def _is_partial(turn: int) -> bool:
    return turn % PARTIAL_EVERY == PARTIAL_EVERY - 1


def _near(context: str, text: str) -> Answer | None:
    """A part of the paragraph that shares some words with *text*: it and what follows, what precedes it, its half."""
    at = context.find(text)
    end, extra = at + len(text), len(text.split()) // 2 + 1
    following, preceding = context[end:].split(" ")[1 : extra + 1], context[:at].split(" ")[:-1][-extra:]
    half = " ".join(text.split(" ")[: max(1, len(text.split(" ")) // 2)])
    options = (" ".join([text, *following]), " ".join([*preceding, text]), half)
    for option in options:
        start = context.find(option)
        if start >= 0 and PARTIAL_F1[0] < f1(text, option) < PARTIAL_F1[1]:
            return Answer(option, start)
    return None


def _answers(context: str, text: str, turn: int, *, whole: bool) -> list[Answer]:
    """What the data set has as right: *text* or something near it, and at times another text that is no better."""
    near = _near(context, text) if _is_partial(turn) and not whole else None
    best = near or Answer(text, context.find(text))
    others = [Answer(word, context.find(word)) for word in context.split(" ")[:3] if turn % 2 and word]
    return [*(other for other in others if f1(text, other.text) < f1(text, best.text)), best][-1 - turn % 3 :]


def _finish(data: Path, draft: Sequence[Paragraph], squad: Squad, asked: Sequence[Asked], *, whole: bool) -> None:
    """Write the questions that were kept, with answers, and drop paragraphs that nothing is asked about any more."""
    per_context: dict[int, list[tuple[str, list[Answer]]]] = {}
    for turn, each in enumerate(asked):
        question = squad.questions[each.question]
        answers = _answers(squad.contexts[question.context], each.text, turn, whole=whole)
        per_context.setdefault(question.context, []).append((question.text, answers))
    paragraphs = [
        Paragraph(draft[context].context, tuple(text for text, _ in kept)) for context, kept in per_context.items()
    ]
    squads.write_questions(data, paragraphs, [[answers for _, answers in kept] for kept in per_context.values()])


def known(data: Path, logits: NDArray[np.float32], counts: Sequence[int]) -> dict[str, Any]:
    """F1 of the first *counts* samples, of which the last are all, and facts about these."""
    whole, found = open_squad(data), []
    for count in counts:
        squad = replace(whole, limit=count)
        predictions = predict(np.arange(count), logits[:count], squad)
        found.append(evaluate(predictions, [question.answers for question in squad.questions[: squad.scored]]))
    accuracy = {"f1": found[-1].f1, "exact_match": found[-1].exact_match}
    lengths = squad.features.lengths
    shape = {"mean_length": float(lengths.mean()), "longest": int(lengths.max()), "distinct": len(set(predictions))}
    return {"accuracy": accuracy, "F1": [scores.f1 for scores in found], **shape}
