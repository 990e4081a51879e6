"""SQuAD from its files to samples: what is wrong is named, and features are upstream's.

recorded/ holds an awkward little set (other scripts, odd blanks, control characters, literal special tokens,
paragraphs of several windows and of none) and what upstream's scripts made of it.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.models.bert import dataset as datasets
from mlperf_docker.harness.models.bert.dataset import open_squad, verify
from mlperf_docker.harness.models.bert.features import build, split_words, windows
from mlperf_docker.harness.models.bert.preprocess import TokenSamples, prepare
from mlperf_docker.harness.models.bert.wordpiece import SPECIAL, Vocabulary, basic_words
from mlperf_docker.harness.system.files import checksum
from mlperf_docker.harness.system.storage import StorageError

RECORDED = Path(__file__).parent / "recorded"
VOCABULARY = Vocabulary([*SPECIAL, "un", "##aff", "##able", "a", "b", "c", "?", "ab", "##b"])


def silent(done: int, total: int, unit: str) -> None:
    pass


def described() -> dict[str, Any]:
    """Two paragraphs with two questions each."""
    answer = {"answer_start": 0, "text": "a"}
    questions = [{"id": f"q{number}", "question": "c?", "answers": [dict(answer)]} for number in range(4)]
    paragraphs = [{"context": "a b", "qas": questions[:2]}, {"context": "b a", "qas": questions[2:]}]
    return {"data": [{"title": "x", "paragraphs": paragraphs}], "version": "1.1"}


def write(root: Path, content: Any, vocabulary: str | None = None) -> Path:
    root.mkdir(exist_ok=True)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (root / "dev-v1.1.json").write_bytes(data)
    (root / "vocab.txt").write_text("\n".join(VOCABULARY.numbers) + "\n" if vocabulary is None else vocabulary)
    return root


def question(content: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = content["data"][0]["paragraphs"][number // 2]["qas"][number % 2]
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Unaffable, isn't it?", ["unaffable", ",", "isn", "'", "t", "it", "?"]),
        ("Caf\u00e9 na\u0308i\u0308ve \u0130", ["cafe", "naive", "i"]),
        ("x\u6771\u4eacy \u3042", ["x", "\u6771", "\u4eac", "y", "\u3042"]),
        ("a\u200bb\x00c\ufffdd\x07e \ue000", ["abcde"]),
        ("a\u00a0b\u2028c\u3000d", ["a", "b", "c", "d"]),
        ("\u2014$10.5%^\u201c", ["\u2014", "$", "10", ".", "5", "%", "^", "\u201c"]),
        ("\u039f\u03a3", ["\u03bf\u03c2"]),
    ],
)
def test_words_and_marks_are_set_apart(text: str, words: list[str]) -> None:
    assert basic_words(text) == words


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Unaffable", ["un", "##aff", "##able"]),
        ("abb ab", ["ab", "##b", "ab"]),
        ("unx a", ["[UNK]", "a"]),
        ("a[SEP]b[sep]", ["a", "[SEP]", "b", "[UNK]", "[UNK]", "[UNK]"]),
        ("a" + "b" * 99, ["ab", *["##b"] * 98]),
        ("a" + "b" * 100, ["[UNK]"]),
        ("", []),
    ],
)
def test_pieces_are_the_longest_ones_from_the_left(text: str, pieces: list[str]) -> None:
    assert [VOCABULARY.tokens[number] for number in VOCABULARY.pieces(text)] == pieces


def test_only_some_blanks_divide_a_paragraph() -> None:
    assert split_words(" a\tb\r\nc\u202fd\u00a0e\u2009f\u3000g  ") == ["a", "b", "c", "d\u00a0e\u2009f\u3000g"]


@pytest.mark.parametrize(
    ("tokens", "room", "expected"),
    [
        (0, 370, []),
        (1, 370, [(0, 1)]),
        (370, 370, [(0, 370)]),
        (371, 370, [(0, 370), (128, 243)]),
        (498, 370, [(0, 370), (128, 370)]),
        (499, 370, [(0, 370), (128, 370), (256, 243)]),
    ],
)
def test_a_long_paragraph_is_cut_into_overlapping_windows(
    tokens: int, room: int, expected: list[tuple[int, int]]
) -> None:
    assert windows(tokens, room) == expected


@pytest.mark.parametrize("tokens", [370, 381, 382, 500, 509, 700, 1000, 1183, 2000])
@pytest.mark.parametrize("asked", [0, 1, 11, 40, 64])
def test_windows_and_their_middles_are_those_of_the_rule(tokens: int, asked: int) -> None:
    """Against the rule written down token by token, for two questions so that one's windows could reach the other's."""
    features = build(["a " * tokens], ["b " * asked, "b " * asked], [0, 0], VOCABULARY)
    room, spans, start = 384 - asked - 3, [], 0
    while True:
        spans.append((start, min(room, tokens - start)))
        if sum(spans[-1]) == tokens:
            break
        start += min(spans[-1][1], 128)
    assert features.count == 2 * len(spans)
    for row in range(features.count):
        begin, length = spans[row % len(spans)]
        assert features.lengths[row] == asked + length + 3
        for token in range(begin, begin + length):
            scores = [
                min(token - at, at + size - 1 - token) + 0.01 * size if at <= token < at + size else -1.0
                for at, size in spans
            ]
            expected = scores.index(max(scores)) == row % len(spans)
            place = features.first[row] + token - begin
            assert features.central[row, place] == expected
            assert features.words[row, place] == token
        assert features.central[row].sum() <= length


def test_a_long_question_is_cut() -> None:
    features = build(["a b"], ["c " * 65], [0], VOCABULARY)
    assert features.first.tolist() == [66]
    assert features.lengths.tolist() == [69]
    assert [VOCABULARY.tokens[n] for n in features.ids[0, 63:69].tolist()] == ["c", "c", "[SEP]", "a", "b", "[SEP]"]


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / "recorded.json").read_text())
    return found


@pytest.mark.arithmetic
def test_features_are_those_that_upstream_made(recorded: dict[str, Any]) -> None:
    features = open_squad(RECORDED).features
    assert features.count == len(recorded["features"]) == 23
    for row, theirs in enumerate(recorded["features"]):
        length, first = len(theirs["ids"]), theirs["first"]
        assert features.question[row] == theirs["question"]
        assert features.ids[row].tolist() == theirs["ids"] + [0] * (384 - length)
        assert (features.lengths[row], features.first[row]) == (length, first)
        words = [-1] * first + theirs["words"] + [-1] * (384 - first - len(theirs["words"]))
        assert features.words[row].tolist() == words
        low, high = theirs["central"]
        assert np.flatnonzero(features.central[row]).tolist() == list(range(low, high + 1))


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_samples_are_ids_mask_and_segments(dtype: Any) -> None:
    features = build(["ab b", "a"], ["c?", "unaffable"], [0, 1], VOCABULARY)
    arrays = TokenSamples(features, dtype).load([1, 0])
    texts = ("[CLS] un ##aff ##able [SEP] a [SEP]", "[CLS] c ? [SEP] ab b [SEP]")
    ids = [[VOCABULARY.numbers[token] for token in text.split()] for text in texts]
    for array, rows in zip(arrays, (ids, [[1] * 7] * 2, [[0] * 5 + [1] * 2, [0] * 4 + [1] * 3]), strict=True):
        assert array.shape == (2, 384)
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array[:, :7].tolist() == rows
        assert not array[:, 7:].any()
    np.testing.assert_array_equal(TokenSamples(features).lengths, [7, 7])
    assert TokenSamples(features, whole=True).lengths is None


Change = Callable[[dict[str, Any]], object]


def paragraph(content: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = content["data"][0]["paragraphs"][number]
    return found


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: question(c, 3).pop("id"), "data[0].paragraphs[1].qas[1]: lacks the text id"),
        (lambda c: question(c, 3).update(question=7), "data[0].paragraphs[1].qas[1]: lacks the text question"),
        (lambda c: question(c, 3).pop("answers"), "data[0].paragraphs[1].qas[1]: lacks the list answers"),
        (lambda c: question(c, 3).update(answers=[]), "data[0].paragraphs[1].qas[1]: has no answer"),
        (lambda c: question(c, 3)["answers"][0].update(text=""), "qas[1].answers[0]: lacks a text, or it is empty"),
        (lambda c: question(c, 3).update(answers=["a"]), "qas[1].answers[0]: lacks a text, or it is empty"),
        (lambda c: question(c, 3).update(is_impossible=False), "has is_impossible, which belongs to SQuAD v2"),
        (lambda c: question(c, 3).update(id="q0"), "question q0: this id is there already"),
        (lambda c: c["data"][0]["paragraphs"][1].pop("context"), "data[0].paragraphs[1]: lacks the text context"),
        (lambda c: c["data"][0]["paragraphs"][1].pop("qas"), "data[0].paragraphs[1]: lacks the list qas"),
        (lambda c: c["data"][0].pop("paragraphs"), "data[0]: lacks the list paragraphs"),
        (lambda c: c["data"].append(1), "data[1]: lacks the list paragraphs"),
        (lambda c: question(c, 3).update(id=["q3"]), "data[0].paragraphs[1].qas[1]: lacks the text id"),
        (lambda c: question(c, 3)["answers"][0].update(answer_start=3), "is out of the paragraph: 1 characters at 3"),
        (lambda c: question(c, 3)["answers"][0].update(answer_start=-1), "is out of the paragraph: 1 characters at -1"),
        (lambda c: question(c, 3)["answers"][0].update(answer_start=10**9), "is out of the paragraph"),
        (lambda c: question(c, 3)["answers"][0].update(answer_start="0"), "begins at '0', which is no whole number"),
        (lambda c: question(c, 3)["answers"][0].update(text="b a b a"), "is out of the paragraph: 7 characters at 0"),
        (lambda c: paragraph(c, 1).update(context="b a" * 70_000), "data[0].paragraphs[1]: has 210000 characters"),
        (lambda c: question(c, 2).update(question="?" * 200_001), "qas[0].question: has 200001 characters"),
        (lambda c: paragraph(c, 1).update(context="b" + "\u0300\u0316" * 90_000), "has 180000 accents in a row"),
    ],
)
def test_a_question_that_cannot_be_is_named(tmp_path: Path, change: Change, problem: str) -> None:
    content = described()
    change(content)
    with pytest.raises(DatasetError, match="1 entry that cannot be right") as raised:
        open_squad(write(tmp_path, content))
    assert problem in raised.value.details[0]


def test_questions_that_cannot_be_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    content = described()
    content["data"] = content["data"] * 4
    with pytest.raises(DatasetError, match="12 entries") as raised:
        open_squad(write(tmp_path, content))
    assert raised.value.details[-1] == "… and 2 more"
    assert len(raised.value.details) == 11


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is no JSON"),
        (b'{"data": "\xff"}', "is not UTF-8: .* at byte 10"),
        (b"[]", "it has no list `data`"),
        (b'{"version": "1.1"}', "it has no list `data`"),
        (b'{"data": [], "version": "v2.0"}', "is version 'v2.0' of SQuAD; the benchmark uses 1.1"),
        (b'{"data": []}', "lacks a version"),
        (b'{"data": [], "version": "1.1"}', "asks no question"),
        (b'{"data": [{"paragraphs": [{"context": "a", "qas": []}]}], "version": "1.1"}', "asks no question"),
    ],
)
def test_a_file_that_is_not_squad_json_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        open_squad(write(tmp_path, content))


@pytest.mark.parametrize(
    ("change", "place", "problem"),
    [
        (lambda c: paragraph(c, 1).update(context="a \ud800"), "data[0].paragraphs[1].context", "half a character"),
        (lambda c: question(c, 3).update(id="\udc00"), "data[0].paragraphs[1].qas[1].id", "half a character"),
        (lambda c: question(c, 3).update(more=float("nan")), "data[0].paragraphs[1].qas[1].more", "no finite number"),
        (lambda c: question(c, 3).update(more=10**40), "data[0].paragraphs[1].qas[1].more", "no finite number"),
    ],
)
def test_a_value_of_the_wrong_type_in_squad_is_named(tmp_path: Path, change: Change, place: str, problem: str) -> None:
    content = described()
    change(content)
    with pytest.raises(DatasetError, match="1 value that cannot be right") as raised:
        open_squad(write(tmp_path, content))
    assert raised.value.details[0].startswith(f"{place}: {problem}")


def test_both_files_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    expected = open_squad(write(tmp_path / "plain", described()))
    root = write(tmp_path / "marked", described())
    for path in root.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = open_squad(root)
    assert found.questions == expected.questions
    assert found.vocabulary.numbers == expected.vocabulary.numbers
    assert np.array_equal(found.features.ids, expected.features.ids)


@pytest.mark.parametrize("name", ["dev-v1.1.json", "vocab.txt"])
@pytest.mark.parametrize(
    ("replace", "problem"),
    [
        (os.mkfifo, "a FIFO, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "a device, not a regular file"),
        (Path.mkdir, "a folder, not a regular file"),
        (lambda path: path.write_bytes(bytes(datasets.MOST + 1)), "too large"),
        (lambda path: path.write_bytes("[PAD]\n".encode("utf-16")), "not UTF-8"),
    ],
)
def test_only_regular_files_of_text_are_read(
    tmp_path: Path, name: str, replace: Callable[[Path], object], problem: str
) -> None:
    root = write(tmp_path, described())
    (root / name).unlink()
    replace(root / name)
    with pytest.raises(DatasetError, match=problem) as raised:
        open_squad(root)
    assert str(root / name) in str(raised.value)


def test_a_squad_file_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nested too deep"):
        open_squad(write(tmp_path, b"[" * 200_000))


def test_features_are_bounded_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = described()
    paragraph(content, 1)["context"] = "b " * 99_000
    questions = [{**question(content, 3), "id": str(number)} for number in range(100_000)]
    paragraph(content, 1)["qas"] = questions
    with pytest.raises(DatasetError, match="more than 50000 features; number 1 has 99000 tokens"):
        _ = open_squad(write(tmp_path, content)).features


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set folder"):
        open_squad(tmp_path / "nowhere")
    root = write(tmp_path / "data", described())
    (root / "vocab.txt").unlink()
    with pytest.raises(DatasetError, match=r"has no vocabulary: vocab\.txt was not found"):
        open_squad(root)
    (root / "dev-v1.1.json").unlink()
    with pytest.raises(DatasetError, match=r"has no SQuAD v1\.1: dev-v1\.1\.json was not found"):
        open_squad(root)


@pytest.mark.parametrize(
    ("vocabulary", "problem"),
    [
        ("[PAD]\na\n[CLS]\n", r"lacks \[UNK\], \[SEP\], \[MASK\]"),
        ("", r"lacks \[PAD\], \[UNK\]"),
        ("[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\n", r"line 1 is '\[UNK\]', not \[PAD\]"),
    ],
)
def test_a_file_that_is_no_vocabulary(tmp_path: Path, vocabulary: str, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        open_squad(write(tmp_path, described(), vocabulary))


def test_a_vocabulary_is_divided_by_line_ends_alone(tmp_path: Path) -> None:
    lines = [*SPECIAL, "\u2028", "a\u0085", "a", "b", "c", "?", "a"]
    for end in ("\n", "\r\n"):
        root = write(tmp_path, described())
        (root / "vocab.txt").write_bytes((end.join(lines) + end).encode())
        vocabulary = open_squad(root).vocabulary
        assert vocabulary.size == 12
        assert (vocabulary.numbers["\u2028"], vocabulary.numbers["b"], vocabulary.numbers["a"]) == (5, 8, 11)


def test_the_limit_counts_features(recorded: dict[str, Any]) -> None:
    questions = [feature["question"] for feature in recorded["features"]]
    total = len(open_squad(RECORDED).questions)
    for limit in range(1, len(questions) + 1):
        squad = open_squad(RECORDED, limit=limit)
        assert squad.count == limit
        # Question 8 and 9 have an empty paragraph: they count as soon as a later one does.
        assert squad.scored == (total if limit == len(questions) else questions[limit - 1] + 1)
    assert open_squad(RECORDED, limit=1000).count == len(questions)


def test_a_paragraph_without_words_gives_no_feature(tmp_path: Path) -> None:
    content = described()
    content["data"][0]["paragraphs"][0]["context"] = " \t\u202f\x07"
    squad = open_squad(write(tmp_path, content))
    assert squad.features.question.tolist() == [2, 3]
    assert squad.scored == 4
    content["data"][0]["paragraphs"][1]["context"] = ""
    for use in (lambda s: prepare(s, tmp_path, silent), lambda s: verify(s, silent)):
        with pytest.raises(DatasetError, match="no paragraph of the data set has any text"):
            use(open_squad(write(tmp_path, content)))


def test_features_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(open_squad(RECORDED), tmp_path, silent)
    monkeypatch.setattr(datasets, "build", lambda *_: pytest.fail("made again"))
    reported: list[tuple[int, int, str]] = []
    squad = open_squad(RECORDED, limit=5)
    second = prepare(squad, tmp_path, lambda *state: reported.append(state))
    assert (first.count, second.count, squad.count) == (23, 5, 5)
    assert reported[-1] == (5, 5, "samples")
    for ours, theirs in zip(second.load(range(5)), first.load(range(5)), strict=True):
        assert np.array_equal(ours, theirs)
    assert [path.suffix for path in sorted((tmp_path / "preprocessed").iterdir())] == ["", ".lock"]


def test_a_damaged_cache_is_made_again_and_another_set_has_its_own(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    right = prepare(open_squad(RECORDED), cache, silent).load([7])
    (stored,) = (cache / "preprocessed").glob("*/features.npz")
    whole = stored.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 100, whole[:-5000] + b"x" + whole[-4999:]):
        stored.write_bytes(damaged)
        assert np.array_equal(prepare(open_squad(RECORDED), cache, silent).load([7])[0], right[0])
        assert stored.read_bytes() == whole
    other = tmp_path / "other"
    shutil.copytree(RECORDED, other)
    with (other / "vocab.txt").open("a") as stream:
        stream.write("more\n")
    prepare(open_squad(other), cache, silent)
    assert len(list((cache / "preprocessed").glob("*/features.npz"))) == 2


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageError, match=r"no space left in .*/preprocessed"):
        prepare(open_squad(RECORDED), tmp_path, silent)
    assert [path.suffix for path in (tmp_path / "preprocessed").iterdir()] == [".lock"]


def test_verify_tells_what_is_there_and_knows_the_official_counts() -> None:
    squad = open_squad(RECORDED)
    facts = verify(squad, silent)
    assert facts["official"] is False
    assert (facts["questions"], facts["paragraphs"], facts["features"]) == (18, 11, 23)
    assert (facts["longest"], facts["vocabulary"]) == (384, 700)
    assert facts["bytes"] == sum((RECORDED / name).stat().st_size for name in ("dev-v1.1.json", "vocab.txt"))
    squad.official = True
    with pytest.raises(DatasetError, match="the official files gave 18 questions and 23 features, not 10570"):
        verify(squad, silent)


def test_official_are_both_files_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path, described())
    sums = {name: checksum(root / name, "md5") for name in ("dev-v1.1.json", "vocab.txt")}
    monkeypatch.setattr(datasets, "OFFICIAL", sums)
    assert open_squad(root).official
    (root / "vocab.txt").write_text((root / "vocab.txt").read_text() + "more\n")
    assert not open_squad(root).official
