"""Payload, answers and F1 from logits: cases made by hand, and upstream's results for a recorded set."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.models.bert import accuracy, payload
from mlperf_docker.harness.models.bert.accuracy import SquadScores, evaluate, f1, normalised
from mlperf_docker.harness.models.bert.answers import best_spans, in_own_writing, joined, predict
from mlperf_docker.harness.models.bert.dataset import Question, Squad, open_squad
from mlperf_docker.harness.models.bert.wordpiece import SPECIAL, Vocabulary

RECORDED = Path(__file__).parent / "recorded"
RNG = np.random.default_rng(9)


def squad_of(*pairs: tuple[str, str], limit: int | None = None) -> Squad:
    """A question about each paragraph; letters and some words are all that the vocabulary has."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = Vocabulary([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *"0123456789.,'$%()-"])
    questions = tuple(Question(f"q{n}", text, n, ("x",)) for n, (text, _) in enumerate(pairs))
    return Squad(tuple(context for _, context in pairs), questions, vocabulary, limit, "", official=False, size_bytes=0)


def logits_at(squad: Squad, *spots: tuple[int, int, int, float]) -> NDArray[np.float32]:
    """Logits of all features that are *value* at (feature, position, side), and lower and falling elsewhere."""
    logits = np.empty((squad.count, 384, 2), dtype=np.float32)
    logits[:] = -10 - np.arange(384)[:, None] / 100
    for row, position, side, value in spots:
        logits[row, position, side] = value
    return logits


def answer(squad: Squad, *spots: tuple[int, int, int, float]) -> list[str]:
    return predict(np.arange(squad.count), logits_at(squad, *spots), squad)


def test_payload_is_start_and_end_of_each_position_and_nothing_behind() -> None:
    logits = RNG.standard_normal((3, 20, 2)).astype(np.float32)
    out = np.full((3, payload.WIDTH), np.nan, dtype=np.float32)
    payload.of_logits((logits,), [4, 0, 2], out)
    assert out.shape == (3, 768)
    assert out[1].nbytes == 3072
    assert out[1, :6].tolist() == [*logits[1, 0], *logits[1, 1], *logits[1, 2]]
    assert out[2, 38:42].tolist() == [*logits[2, 19], -10000.0, -10000.0]
    assert (out[:, 40:] == -10000).all()
    both = np.full_like(out, np.nan)
    payload.of_start_and_end((logits[..., 0], logits[..., 1]), [4, 0, 2], both)
    assert both.tobytes() == out.tobytes()
    whole = RNG.standard_normal((1, 384, 2)).astype(np.float32)
    payload.of_logits((whole,), [0], out[:1])
    assert out[0].tobytes() == whole.tobytes()


def test_payload_can_leave_padding_out() -> None:
    lengths = np.array([5, 1, 20, 1, 12])
    logits = RNG.standard_normal((3, 20, 2)).astype(np.float32)
    out = np.empty((3, 768), dtype=np.float32)
    partial(payload.of_logits, lengths=lengths)((logits,), [4, 0, 2], out)
    for row, length in enumerate([12, 5, 20]):
        assert np.array_equal(out[row].reshape(384, 2)[:length], logits[row, :length])
        assert (out[row, 2 * length :] == -10000).all()


@pytest.mark.parametrize(
    ("found", "original", "expected"),
    [
        ("steve smith", "Steve Smith's", "Steve Smith"),
        ("1895", "(1895-1943).", "1895"),
        ("cafe", "the Café.", "Café"),
        ("cafe", "the Cafe\u0301.", "the Cafe\u0301."),
        ("$ 1 , 234", "of $1,234!", "$1,234"),
        ("a b", "x (A  B) y", "A  B"),
        ("", "Some words", "Some words"),
        ("other", "Some words", "Some words"),
        ("words", "So\u200bme words", "So\u200bme words"),
        ("東", "in 東京.", "東"),
        ("nd", "and band", "nd"),
    ],
)
def test_text_is_written_as_the_paragraph_has_it(found: str, original: str, expected: str) -> None:
    assert in_own_writing(found, original) == expected


def test_pieces_are_joined() -> None:
    assert joined(["un", "##aff", "##able", ",", "is"]) == "unaffable , is"
    assert joined(["##able", "#", "#"]) == "able # #"
    assert joined([]) == ""


def test_the_best_pair_answers() -> None:
    squad = squad_of(("q?", "a b c d e"))
    first = int(squad.features.first[0])
    assert answer(squad, (0, first + 1, 0, 5), (0, first + 3, 1, 5)) == ["b c d"]
    # The end before the start: the best end that may follow it is taken, which is its own.
    assert answer(squad, (0, first + 3, 0, 5), (0, first + 1, 1, 5)) in (["d"], ["a b"])
    # The best start stands in the question.
    assert answer(squad, (0, 1, 0, 9), (0, first + 2, 0, 3), (0, first + 2, 1, 5)) == ["c"]


def test_of_equals_the_first_in_rank_answers() -> None:
    squad = squad_of(("q?", "a b c d e"))
    first = int(squad.features.first[0])
    spots = [(0, first + at, side, 5.0) for at in (1, 3) for side in (0, 1)]
    assert answer(squad, *spots) == ["b"]
    assert answer(squad, *[(0, first + at, side, 5.0 + (at == 3)) for at in (1, 3) for side in (0, 1)]) == ["d"]


def test_an_answer_has_thirty_tokens_at_most() -> None:
    squad = squad_of(("q?", " ".join("abcdefghijklmnopqrstuvwxyz0123456789")))
    first = int(squad.features.first[0])
    best = " ".join("abcdefghijklmnopqrstuvwxyz0123")
    assert answer(squad, (0, first, 0, 9), (0, first + 29, 1, 9)) == [best]
    spots = ((0, first, 0, 9.0), (0, first + 30, 1, 9.0), (0, first + 4, 1, 5.0))
    assert answer(squad, *spots) == ["a b c d e"]


def test_only_twenty_starts_and_ends_are_looked_at() -> None:
    squad = squad_of(("q?", "a b c"))
    first = int(squad.features.first[0])
    spots = [(0, 300 + at, 0, 50.0) for at in range(19)] + [(0, first, 0, 4.0), (0, first + 1, 1, 4.0)]
    assert answer(squad, *spots) == ["a b"]
    assert answer(squad, *spots, (0, 320, 0, 50.0)) == ["empty"]


def test_windows_compete_and_answers_begin_in_the_middle_of_one() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(260)]
    squad = squad_of(("q", " ".join(words)))
    features = squad.features
    assert features.count == 3
    first = int(features.first[0])
    spots = [(0, first + 20, 0, 5.0), (0, first + 23, 1, 5.0), (1, first + 200, 0, 6.0), (1, first + 201, 1, 6.0)]
    assert answer(squad, *spots) == [" ".join(words[(200 + 128) // 2 : (201 + 128) // 2 + 1])]
    # The same token in a window where it is at the edge does not count, however high its logit is.
    edge = int(np.flatnonzero(~features.central[0, first:])[0])
    assert features.words[0, first + edge] == features.words[1, first + edge - 128]
    late = [(0, first + edge, 0, 99.0), (0, first + edge, 1, 99.0)]
    assert answer(squad, *spots, *late)[0] == " ".join(words[164:165])
    rows = np.array([0, 2])
    found = predict(rows, logits_at(squad, *spots)[rows], squad)
    assert found == [" ".join(words[10:12])]


def test_features_may_come_in_any_order() -> None:
    squad = open_squad(RECORDED)
    logits = RNG.standard_normal((squad.count, 384, 2)).astype(np.float32)
    order = RNG.permutation(squad.count)
    assert predict(order, logits[order], squad) == predict(np.arange(squad.count), logits, squad)


def test_the_best_span_is_that_of_trying_all() -> None:
    """Against loops over all pairs, with many ties."""
    squad = open_squad(RECORDED)
    features = squad.features
    logits = RNG.integers(-6, 7, (squad.count, 384, 2)).astype(np.float32)
    spans = best_spans(np.arange(squad.count), logits, features)
    for row in range(squad.count):
        starts, ends = (sorted(range(384), key=lambda p, s=s: -logits[row, p, s])[:20] for s in (0, 1))  # type: ignore[misc]
        best: tuple[float, int, int] = (-np.inf, 0, 0)
        for start in starts:
            for end in ends:
                if features.words[row, start] < 0 or features.words[row, end] < 0 or not features.central[row, start]:
                    continue
                total = float(logits[row, start, 0]) + float(logits[row, end, 1])
                if start <= end < start + 30 and total > best[0]:
                    best = (total, start, end)
        assert (spans.score[row], *((spans.start[row], spans.end[row]) if best[0] > -np.inf else (0, 0))) == best


@pytest.mark.parametrize(
    ("predicted", "right", "score"),
    [
        ("the cat", "a cat!", 1.0),
        ("Cat, dog", "dog", 2 * 0.5 * 1.0 / 1.5),
        ("cat cat dog", "cat dog dog", 2 / 3),
        ("mouse", "cat", 0.0),
        ("the", "a", 0.0),
        ("", "cat", 0.0),
        ("10%", "10 percent", 2 * 1.0 * 0.5 / 1.5),
        ("1,000", "1000", 1.0),
        ("theatre", "the atre", 0.0),
    ],
)
def test_f1(predicted: str, right: str, score: float) -> None:
    assert f1(predicted, right) == pytest.approx(score)


def test_normalisation_is_the_official_one() -> None:
    assert normalised("  The  U.S. — An_a 'Apple'\tan\u00a0A-b ") == "us — ana apple ab"


def test_scores_take_the_best_of_the_answers() -> None:
    scores = evaluate(["the cat", "dog house", "x"], [["mouse", "cat"], ["dog", "the house"], ["y"]])
    assert scores.exact_match == pytest.approx(100 / 3)
    assert scores.f1 == pytest.approx((1 + 2 / 3) * 100 / 3)
    assert str(SquadScores(50.0, 200 / 3)) == '{"exact_match": 50.0, "f1": 66.66666666666667}'


def log_of(path: Path, rows: Sequence[int], payloads: Sequence[NDArray[np.float32]]) -> Path:
    entries = [
        {"seq_id": n, "qsl_idx": int(r), "data": p.tobytes().hex()}
        for n, (r, p) in enumerate(zip(rows, payloads, strict=True))
    ]
    path.write_text(json.dumps(entries))
    return path


def recorded_logits(row: int, length: int) -> NDArray[np.float32]:
    """The logits that the recorded scores belong to: a formula with many ties."""
    position, side = np.arange(length)[:, None], np.arange(2)[None, :]
    mixed = row * 7919 + position * 104729 + side * 1299709 + position * position * 31
    return (mixed % 1009 / 64 - 8).astype(np.float32)


@pytest.mark.parametrize("kind", ["all", "short", "part"])
def test_predictions_and_line_are_those_that_upstream_gave(tmp_path: Path, kind: str) -> None:
    recorded = json.loads((RECORDED / "recorded.json").read_text())["scores"][kind]
    squad = open_squad(RECORDED)
    rows = list(range(0, squad.count, 2 if kind == "part" else 1))
    lengths = [int(squad.features.lengths[row]) if kind == "short" else 384 for row in rows]
    log = log_of(tmp_path / "log.json", rows, [recorded_logits(*pair) for pair in zip(rows, lengths, strict=True)])
    found = predict(*accuracy.read_log(log, squad), squad)
    assert dict(zip((question.id for question in squad.questions), found, strict=True)) == recorded["predictions"]
    assert str(accuracy.score(log, squad)) == recorded["line"]


def test_with_a_limit_the_questions_up_to_the_last_feature_count(tmp_path: Path) -> None:
    squad = open_squad(RECORDED)
    rows = range(squad.count)
    logits = np.stack([recorded_logits(row, 384) for row in rows])
    whole = predict(np.arange(squad.count), logits, squad)
    for limit in (1, 7, 8, 9, 10, 22, 23):
        part = open_squad(RECORDED, limit=limit)
        log = log_of(tmp_path / "log.json", rows[:limit], list(logits[:limit]))
        found = predict(*accuracy.read_log(log, part), part)
        assert len(found) == part.scored
        assert found[:-1] == whole[: part.scored - 1]
        right = [question.answers for question in squad.questions[: part.scored]]
        assert accuracy.score(log, part) == evaluate(found, right)


def test_the_last_of_two_answers_counts(tmp_path: Path) -> None:
    squad = open_squad(RECORDED)
    a, b = (RNG.standard_normal((384, 2)).astype(np.float32) for _ in range(2))
    rows, logits = accuracy.read_log(log_of(tmp_path / "log.json", [3, 5, 3], [a, a, b]), squad)
    assert rows.tolist() == [3, 5]
    assert np.array_equal(logits, [b, a])


@pytest.mark.parametrize(
    ("row", "data", "problem"),
    [
        (23, "00" * 3072, "samples that the data set of 23 features does not"),
        (-1, "00" * 3072, "samples that the data set of 23 features does not"),
        (2, "00" * 3080, "770 values for sample 2, not up to 384 pairs"),
        (2, "00" * 12, "3 values for sample 2"),
        (2, "00" * 5, "answer to sample 2 that cannot be"),
        (2, "zz", "answer to sample 2 that cannot be"),
        (2, "0000c07f" * 2, "no numbers for 1 samples, the first is 2"),
    ],
)
def test_a_log_that_cannot_be(tmp_path: Path, row: int, data: str, problem: str) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps([{"seq_id": 0, "qsl_idx": row, "data": data}]))
    with pytest.raises(SampleError, match=problem):
        accuracy.score(path, open_squad(RECORDED))


def test_an_empty_log_scores_as_if_nothing_was_found(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text("[]")
    squad = open_squad(RECORDED)
    right = [question.answers for question in squad.questions]
    assert accuracy.score(path, squad) == evaluate(["empty"] * len(right), right)
