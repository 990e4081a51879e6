"""The synthetic SQuAD: its layout, and that its known score is reached by right answers alone."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.models.bert import payload, synthetic
from mlperf_docker.harness.models.bert.accuracy import evaluate
from mlperf_docker.harness.models.bert.answers import best_of_questions, best_spans, predict
from mlperf_docker.harness.models.bert.dataset import Squad, open_squad
from mlperf_docker.harness.models.bert.features import build, windows
from mlperf_docker.harness.models.bert.preprocess import TokenSamples
from mlperf_docker.harness.models.bert.synthetic_squad import Lengths, Writer, draw_language
from mlperf_docker.harness.models.bert.wordpiece import SPECIAL, Vocabulary
from mlperf_docker.harness.weights import safetensors as weight_files

TINY = SyntheticKind(SyntheticSize.TINY)


def silent(done: int, total: int, unit: str) -> None:
    pass


def make_network(size: SyntheticSize, vocabulary: int, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    shapes = {"words": (vocabulary, 8), "places": (384, 8), "head": (8, 2)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return Network("stand-in", Interface((), ()), arrays, lambda *_: ())


class Reader:
    """Logits that depend on every token of a sample, its place and its neighbour."""

    def __init__(self, network: Network) -> None:
        self._arrays = network.arrays

    def predict(self, inputs: Arrays) -> Arrays:
        ids, mask, _ = inputs
        assert mask.all()
        x = self._arrays["words"][ids] + self._arrays["places"][: ids.shape[1]]
        y = np.sin(x + np.roll(x, 1, axis=1) + 9 * x.mean(axis=1, keepdims=True))
        return ((y @ self._arrays["head"]).astype(np.float32),)

    def prove(self, inputs: Arrays) -> dict[str, Any]:
        raise NotImplementedError


class Answers:
    def predictor(self, network: Network, *outputs: str, threads: int | None = None) -> Reader:
        assert outputs == ("logits",)
        return Reader(network)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    cache = tmp_path_factory.mktemp("cache")
    return synthetic.synthesize(TINY, cache, Answers(), silent, make_network)


def logits_of(squad: Squad, made: SyntheticSet) -> NDArray[np.float32]:
    """Payloads as a run makes them."""
    network = Network("stand-in", Interface((), ()), weight_files.read(made.weights), lambda *_: ())
    samples = TokenSamples(squad.features)
    out = np.empty((samples.count, payload.WIDTH), dtype=np.float32)
    write = partial(payload.of_logits, lengths=samples.lengths)
    for index, length in enumerate(squad.features.lengths.tolist()):
        inputs = tuple(array[:, :length] for array in samples.load([index]))
        write(Reader(network).predict(inputs), [index], out[index : index + 1])
    return out.reshape(-1, 384, 2)


def score(logits: NDArray[np.float32], rows: NDArray[np.int64], squad: Squad) -> float:
    right = [question.answers for question in squad.questions[: squad.scored]]
    return evaluate(predict(rows, logits, squad), right).f1


def test_the_known_score_is_reached_for_every_count(made: SyntheticSet) -> None:
    whole = open_squad(made.data)
    logits = logits_of(whole, made)
    assert whole.count == made.facts["count"] == len(made.facts["F1"]) == 64
    assert len(whole.questions) < 64
    for count in range(1, 65):
        squad = open_squad(made.data, limit=count)
        assert score(logits[:count], np.arange(count), squad) == pytest.approx(made.facts["F1"][count - 1], abs=1e-9)
    assert 80 < made.facts["accuracy"]["f1"] < 99
    assert made.facts["accuracy"]["f1"] == made.facts["F1"][-1]


def test_three_questions_in_four_are_answered_exactly_and_the_others_in_part(made: SyntheticSet) -> None:
    squad = open_squad(made.data)
    found = predict(np.arange(squad.count), logits_of(squad, made), squad)
    for turn, (text, question) in enumerate(zip(found, squad.questions, strict=True)):
        scores = evaluate([text], [question.answers])
        if turn % 4 == 3:
            assert scores.exact_match == 0
            assert 30 < scores.f1 < 95
        else:
            assert scores.exact_match == scores.f1 == 100


def test_no_small_change_of_logits_changes_an_answer(made: SyntheticSet) -> None:
    squad = open_squad(made.data)
    logits = logits_of(squad, made)
    rows, rng = np.arange(squad.count), np.random.default_rng(1)
    right = predict(rows, logits, squad)
    small = synthetic.SAFE * logits[squad.features.words >= 0].std() / 4
    for _ in range(10):
        noise = rng.choice([-small, small], logits.shape).astype(np.float32)
        assert predict(rows, logits + noise, squad) == right


SQUEEZED = Vocabulary([*SPECIAL, *"abcdefghijklmnopqrstuvwxyz"])


def stable(words: int, *spots: tuple[int, int, int, float]) -> bool:
    """Whether a question about a paragraph of so many words is safe with these logits, others being -9 and less.

    A spot is (window, token of the paragraph, side, value). A logit counts as close within 0.1.
    """
    features = build(["a " * words], ["b"], [0], SQUEEZED)
    logits = np.empty((features.count, 384, 2), dtype=np.float32)
    logits[:] = -9 - np.arange(384)[:, None]
    for row, token, side, value in spots:
        logits[row, features.first[row] + token, side] = value
    return synthetic.is_stable(np.arange(features.count), logits, features, 0.1)


def test_a_synthetic_question_is_asked_only_with_a_clear_answer() -> None:
    best = ((0, 3, 0, 5.0), (0, 5, 1, 5.0))
    assert stable(40, *best)
    assert not stable(40, *best, (0, 4, 1, 4.95))
    assert stable(40, *best, (0, 4, 1, 4.85))
    # Twenty ends that may not be one (the first token is in the question) leave out what would be best, but narrowly.
    early = [(0, -3 + n, 1, 6.0) for n in range(3)] + [(0, 340 + n, 1, 6.0 + n) for n in range(17)]
    assert not stable(40, (0, 3, 0, 5.0), (0, 5, 1, 5.98), *early)
    assert not stable(40, (0, 3, 0, 5.0), (0, 5, 1, 6.02), *early[1:], (0, 360, 1, 6.0))
    far = (*early[1:], (0, 3, 0, 5.0), (0, 5, 1, 7.0), (0, 10, 0, 8.0))
    assert not stable(40, *far, (0, 12, 1, 5.98))
    assert stable(40, *far, (0, 12, 1, 5.88))
    # The second window has the better answer by far, but a run may end before it.
    better = ((1, 300, 0, 9.0), (1, 301, 1, 9.0))
    assert stable(500, *best, *better)
    assert not stable(500, *best, (0, 4, 1, 4.95), *better)
    assert not stable(500, *best, (1, 300, 0, 5.0), (1, 301, 1, 4.95))


def test_lost_and_mixed_up_answers_show(made: SyntheticSet) -> None:
    squad = open_squad(made.data)
    logits, rows = logits_of(squad, made), np.arange(squad.count)
    right = score(logits, rows, squad)
    decisive = {
        row for row, _, _ in best_of_questions(best_spans(rows, logits, squad.features), squad.features).values()
    }
    assert len(decisive) == len(squad.questions)
    for index in decisive:
        others = rows != index
        assert abs(score(logits[others], rows[others], squad) - right) > 0.01, index
    for index in range(squad.count - 1):
        if not decisive & {index, index + 1}:
            continue  # two windows of one question that another window of it beats
        swapped = logits.copy()
        swapped[[index, index + 1]] = logits[[index + 1, index]]
        assert abs(score(swapped, rows, squad) - right) > 0.01, index


def test_answers_stand_in_their_paragraphs(made: SyntheticSet) -> None:
    import json

    content = json.loads((made.data / "dev-v1.1.json").read_text())
    assert content["version"] == "1.1"
    for article in content["data"]:
        assert set(article) == {"title", "paragraphs"}
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                assert set(question) == {"id", "question", "answers"}
                for answer in question["answers"]:
                    assert paragraph["context"][answer["answer_start"] :].startswith(answer["text"])


@pytest.mark.parametrize("size", [1000, 30522])
def test_the_vocabulary_is_laid_out_as_the_official_one(size: int) -> None:
    pieces = draw_language(size, np.random.default_rng(3)).vocabulary
    assert len(pieces) == len(set(pieces)) == size
    assert pieces[0] == "[PAD]"
    assert pieces[100:104] == ("[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert (pieces[1], pieces[99]) == ("[unused0]", "[unused98]")
    assert pieces[-1].startswith("##")
    assert not any(piece != piece.strip() or not piece for piece in pieces)


def test_full_text_is_as_long_as_squads() -> None:
    recipe = synthetic.RECIPES[SyntheticSize.FULL]
    rng = np.random.default_rng(1)
    source = Writer(draw_language(recipe.vocabulary, rng), recipe.lengths, rng).paragraphs()
    counts = [len(next(source).context.split()) for _ in range(100)]
    assert 70 < np.mean(counts) < 130
    assert max(counts) >= 300
    assert len(windows(500, 370)) == 3


def test_the_same_set_is_drawn_again(tmp_path: Path, made: SyntheticSet) -> None:
    again = synthetic.synthesize(TINY, tmp_path, Answers(), silent, make_network)
    for name in ("data/dev-v1.1.json", "data/vocab.txt", "weights.safetensors", "synthetic.json"):
        assert (again.data.parent / name).read_bytes() == (made.data.parent / name).read_bytes()
    once_more = synthetic.synthesize(TINY, tmp_path, Answers(), silent, lambda *_: pytest.fail("made"))
    assert once_more.facts == made.facts


def test_a_network_that_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    class Flat(Answers):
        def predictor(self, network: Network, *outputs: str, threads: int | None = None) -> Any:
            class Constant(Reader):
                def predict(self, inputs: Arrays) -> Arrays:
                    return (np.zeros((*inputs[0].shape, 2), dtype=np.float32),)

            return Constant(network)

    with pytest.raises(SampleError, match="only 0 of 64 synthetic samples are safe to ask"):
        synthetic.synthesize(TINY, tmp_path, Flat(), silent, make_network)


def test_lengths_are_bounded() -> None:
    rng = np.random.default_rng(1)
    source = Writer(draw_language(1000, rng), Lengths(30, 5.0, (10, 50), 4, (100, 120)), rng).paragraphs()
    counts = [len(next(source).context.split()) for _ in range(40)]
    assert all((100 <= count < 135) == (number % 4 == 0) for number, count in enumerate(counts, start=1))
