"""Accuracy logs as LoadGen writes them, read an answer at a time."""

import json
import tracemalloc
from pathlib import Path

import pytest

from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.samples import accuracy_log
from tests.harness.compliance.logs import write_log


def test_answers_come_in_their_order(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.json", [(3, b"\x01\x02"), (0, b""), (3, b"\xff")])
    found = [(each.sample, each.data) for each in accuracy_log.answers(log)]
    assert found == [(3, b"\x01\x02"), (0, b""), (3, b"\xff")]


def test_an_empty_log_has_no_answer(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.json", [])
    assert list(accuracy_log.answers(log)) == []
    assert accuracy_log.indexed(log).entries == 0


def test_the_first_answer_to_a_sample_is_found(tmp_path: Path) -> None:
    log = accuracy_log.indexed(write_log(tmp_path / "log.json", [(3, b"a"), (0, b"b"), (3, b"c")]))
    assert (log.entries, log.find(3), log.find(0), log.find(1)) == (3, b"a", b"b", None)


def test_a_part_of_a_log_is_a_log(tmp_path: Path) -> None:
    whole = accuracy_log.indexed(write_log(tmp_path / "log.json", [(n, bytes([n])) for n in range(5)]))
    accuracy_log.extract(whole, [4, 1], tmp_path / "part.json")
    assert [entry["qsl_idx"] for entry in json.loads((tmp_path / "part.json").read_text())] == [4, 1]
    assert [each.data for each in accuracy_log.answers(tmp_path / "part.json")] == [b"\x04", b"\x01"]


@pytest.mark.parametrize("line", ["........", '{ "seq_id" : 0, "qsl_idx" : 1, "data" : "0', '{"qsl_idx" : "x"}'])
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    """Such as the dots in a log that was truncated for a submission."""
    log = write_log(tmp_path / "log.json", [(0, b"a")])
    log.write_text(log.read_text().replace("\n]", f",\n{line}\n]"))
    with pytest.raises(SampleError, match="line 3, is no answer"):
        list(accuracy_log.answers(log))
    with pytest.raises(SampleError, match="line 3, is no answer"):
        accuracy_log.indexed(log)


def test_memory_holds_one_answer_at_a_time(tmp_path: Path) -> None:
    size = 1 << 20
    log = write_log(tmp_path / "log.json", ((n, bytes(size)) for n in range(24)))
    tracemalloc.start()
    found = accuracy_log.indexed(log)
    assert sum(len(each.data) for each in accuracy_log.answers(log)) == 24 * size
    assert found.find(23) == bytes(size)
    assert tracemalloc.get_traced_memory()[1] < 12 * size
    tracemalloc.stop()
