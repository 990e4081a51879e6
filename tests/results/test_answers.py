"""Answers of two runs side by side, out of accuracy logs as LoadGen writes them."""

import struct
from array import array
from collections.abc import Mapping
from pathlib import Path

from mlperf_docker.reference_contract.reference import UNASKED, Numbers
from mlperf_docker.results.answers import LOG, compare


def write_log(folder: Path, answers: Mapping[int, bytes]) -> Path:
    folder.mkdir()
    lines = [
        f'{{ "seq_id" : {number}, "qsl_idx" : {sample}, "data" : "{data.hex().upper()}", "token_count" : 0 }}'
        for number, (sample, data) in enumerate(answers.items())
    ]
    (folder / LOG).write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return folder


def floats(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_equal_answers_are_equal_in_any_order(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: floats(1), 1: floats(2, 3)})
    theirs = write_log(tmp_path / "b", {1: floats(2, 3), 0: floats(1)})
    found = compare(ours, theirs)
    assert found
    assert found.all_equal
    assert str(found) == "2 of 2 equal"


def test_answers_that_differ_are_told_with_how_far(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: floats(1, 2), 1: floats(5), 2: floats(1), 3: b"abc"})
    theirs = write_log(tmp_path / "b", {0: floats(1, 2.5), 1: floats(5, 6), 4: floats(1), 3: b"abd"})
    found = compare(ours, theirs)
    assert found
    assert (found.compared, found.equal, found.other_length, found.alone) == (3, 0, 1, 2)
    assert found.largest_difference == 1.0, "of the bytes c and d"
    assert not found.all_equal


def test_the_first_answer_to_a_sample_counts(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: floats(1)})
    theirs = write_log(tmp_path / "b", {0: floats(1)})
    with (theirs / LOG).open("a") as log:
        log.write('{ "seq_id" : 9, "qsl_idx" : 0, "data" : "00000000" },\n')
    found = compare(ours, theirs)
    assert found
    assert found.all_equal


def test_without_an_accuracy_log_nothing_is_compared(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: floats(1)})
    (tmp_path / "b").mkdir()
    assert compare(ours, tmp_path / "b") is None


def test_padding_is_not_compared(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: floats(1, 3, UNASKED), 1: floats(1, UNASKED, UNASKED)})
    theirs = write_log(tmp_path / "b", {0: floats(1, 3.5, 9), 1: floats(1, 8, 8)})
    found = compare(ours, theirs)
    assert found
    assert (found.equal, found.numbers, found.differing, found.largest_difference, found.more) == (1, 2, 1, 0.5, 3)
    assert found.deviation == 1.0
    assert "largest difference 0.5 beside a deviation of 1" in str(found)
    assert "3 numbers by the second alone" in str(found)


def test_labels_are_compared_one_by_one(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: bytes([0, 1, 2, 2])})
    theirs = write_log(tmp_path / "b", {0: bytes([0, 1, 2, 0])})
    found = compare(ours, theirs, Numbers.UINT8)
    assert found
    assert (found.numbers, found.differing, found.largest_difference, found.deviation) == (4, 1, 2, None)
    assert str(found) == "0 of 1 equal, 1 of the 4 numbers in the others differ, largest difference 2"


def test_labels_of_eight_bytes_are_compared_one_by_one(tmp_path: Path) -> None:
    ours = write_log(tmp_path / "a", {0: array("q", [7, 19, 27]).tobytes()})
    theirs = write_log(tmp_path / "b", {0: array("q", [7, 18, 27]).tobytes()})
    found = compare(ours, theirs, Numbers.INT64)
    assert found
    assert (found.numbers, found.differing, found.largest_difference, found.deviation) == (3, 1, 1, None)
