"""Criteo's rows, samples of them, conversion from text, and the area under the curve."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mlperf_docker.harness.api.errors import DatasetError, SampleError
from mlperf_docker.harness.models.dlrm import accuracy, aggregation, conversion, rows
from mlperf_docker.harness.models.dlrm.benchmark import Dlrm, answering
from mlperf_docker.harness.models.dlrm.dataset import BINARY, TRACE, Criteo, open_criteo
from mlperf_docker.harness.models.dlrm.preprocess import Form, Pairs
from tests.harness.process import environment

RNG = np.random.default_rng(11)


def test_the_official_trace_is_reproduced() -> None:
    bounds = aggregation.offsets(89_137_319)
    assert len(bounds) - 1 == 330_067
    digest = hashlib.md5(aggregation.trace(bounds).encode(), usedforsecurity=False).hexdigest()
    assert digest == "3db90209564316f2506c99cc994ad0b2"


def test_the_last_sample_is_what_is_left() -> None:
    whole = aggregation.offsets(10_000)
    assert set(np.diff(whole)[:-1].tolist()) <= {100, 200, 300, 400, 500, 600, 700}
    part = aggregation.offsets(int(whole[7]) + 1)
    assert part.tolist() == [*whole[:8].tolist(), int(whole[7]) + 1]
    assert aggregation.offsets(int(whole[7])).tolist() == whole[:8].tolist()
    assert aggregation.offsets(1).tolist() == [0, 1]


def write_rows(folder: Path, count: int = 3000) -> NDArray[np.int32]:
    values = RNG.integers(0, 50, (count, 40), dtype=np.int32)
    values[:, 0] = RNG.random(count) < 0.3
    values.tofile(folder / BINARY)
    return values


@pytest.mark.arithmetic
def test_samples_are_runs_of_rows_with_logarithms(tmp_path: Path) -> None:
    values = write_rows(tmp_path)
    dataset = open_criteo(tmp_path)
    bounds = aggregation.offsets(3000)
    samples = Dlrm().preprocess(dataset, Form((50,) * 26), tmp_path, workers=2, report=lambda *_: None)
    assert isinstance(samples, Pairs)
    assert samples.count == len(bounds) - 1
    dense, ids = samples.load([3, 0])
    expected = np.concatenate([values[bounds[3] : bounds[4]], values[: bounds[1]]])
    np.testing.assert_allclose(dense, np.log(expected[:, 1:14] + 1.0), rtol=1e-6)
    np.testing.assert_array_equal(ids, expected[:, 14:])
    assert [str(dense.dtype), str(ids.dtype)] == ["float32", "int32"]
    wrapped = Pairs(dataset, Form((20,) * 26, 20)).load([2])[1]
    np.testing.assert_array_equal(wrapped, values[bounds[2] : bounds[3], 14:] % 20)
    first = open_criteo(tmp_path, limit=2)
    assert (first.count, len(first.rows)) == (2, bounds[2])


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="was not found") as raised:
        open_criteo(tmp_path)
    assert "data convert dlrm" in (raised.value.hint or "")
    (tmp_path / BINARY).write_bytes(bytes(161))
    with pytest.raises(DatasetError, match="161 bytes are no whole number"):
        open_criteo(tmp_path)
    (tmp_path / BINARY).write_bytes(b"")
    with pytest.raises(DatasetError, match="empty or truncated"):
        open_criteo(tmp_path)


def test_every_value_that_cannot_be_is_reported_at_once(tmp_path: Path) -> None:
    values = write_rows(tmp_path)
    values[7, 0], values[8, 2], values[2999, 14 + 4], values[5, 14 + 9] = 2, -1, 50, 777
    values.tofile(tmp_path / BINARY)
    with pytest.raises(DatasetError, match="does not fit the model") as raised:
        Dlrm().preprocess(open_criteo(tmp_path), Form((50,) * 26), tmp_path, workers=1, report=lambda *_: None)
    assert raised.value.details == (
        "labels go from 0 to 2, not from 0 to 1",
        "number 1 is negative: -1",
        "category 4 has id 50; its table has 50 rows",
        "category 9 has id 777; its table has 50 rows",
    )
    assert str(raised.value).endswith("the first row that cannot be is row 5")
    assert raised.value.exit_code == 6


def test_ids_are_within_the_official_range_where_no_tables_are_known(tmp_path: Path) -> None:
    values = write_rows(tmp_path)
    values[2001, 20] = 40_000_000
    values.tofile(tmp_path / BINARY)
    for step in (
        lambda data: Dlrm().verify(data, workers=1, report=lambda *_: None),
        lambda data: Dlrm().preprocess(data, Form(), tmp_path, workers=1, report=lambda *_: None),
    ):
        with pytest.raises(DatasetError, match=r"is row 2001$") as raised:
            step(open_criteo(tmp_path))
        assert raised.value.details == ("an id is 40000000; the official tables have no more than 40000000 rows",)


@pytest.mark.parametrize("start", [0, 1000, 1003, 2974])
def test_a_page_that_was_not_written_is_noticed(tmp_path: Path, start: int) -> None:
    values = write_rows(tmp_path)
    values[40] = 0
    values.tofile(tmp_path / BINARY)
    Dlrm().verify(open_criteo(tmp_path), workers=1, report=lambda *_: None)
    values[start : start + 26] = 0
    values.tofile(tmp_path / BINARY)
    for _ in range(2):
        for step in (
            lambda data: Dlrm().verify(data, workers=1, report=lambda *_: None),
            lambda data: Dlrm().preprocess(data, Form(), tmp_path, workers=1, report=lambda *_: None),
        ):
            with pytest.raises(DatasetError, match=rf"{BINARY} has a hole: all is 0 from about row \d+ on"):
                step(open_criteo(tmp_path))


def test_only_a_regular_file_of_a_possible_size_has_the_rows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / BINARY)
    with pytest.raises(DatasetError, match="a FIFO, not a regular file"):
        open_criteo(tmp_path)
    (tmp_path / BINARY).unlink()
    (tmp_path / BINARY).symlink_to("/dev/zero")
    with pytest.raises(DatasetError, match="a device, not a regular file"):
        open_criteo(tmp_path)
    (tmp_path / BINARY).unlink()
    with (tmp_path / BINARY).open("wb") as stream:
        stream.truncate(160 * 10**10)
    with pytest.raises(DatasetError, match="it has 10000000000 rows"):
        open_criteo(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [*lines[:3], "300, 200, 100", *lines[4:]], r"line 4 is '300, 200, 100', not '\d+, \d+, \d+'"),
        (lambda lines: lines[:-1], "line [0-9]+ is missing"),
        (lambda lines: [*lines, "1, 2, 1"], "is '1, 2, 1', not the end"),
        (lambda lines: ["\ufeff\0"], r"line 1 is '\\x00'"),
    ],
)
def test_a_trace_that_groups_rows_in_another_way_is_an_error(
    tmp_path: Path, change: Callable[[list[str]], list[str]], problem: str
) -> None:
    write_rows(tmp_path)
    lines = aggregation.trace(open_criteo(tmp_path).bounds).splitlines()
    (tmp_path / TRACE).write_text("\n".join(lines) + "\n")
    assert open_criteo(tmp_path, limit=2).count == 2
    (tmp_path / TRACE).write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(DatasetError, match=problem) as raised:
        open_criteo(tmp_path, limit=2)
    assert TRACE in str(raised.value)


def test_rows_that_were_read_are_not_read_again(tmp_path: Path) -> None:
    write_rows(tmp_path)
    seen: list[int] = []
    for _ in range(2):
        look = lambda done, total, unit: seen.append(done)  # noqa: E731
        Dlrm().preprocess(open_criteo(tmp_path), Form(), tmp_path / "cache", workers=1, report=look)
    assert seen == [3000]


# The area under the curve


def plain_area(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    pairs = [(p > q) + 0.5 * (p == q) for p in predictions[labels == 1] for q in predictions[labels == 0]]
    return float(np.mean(pairs))


@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_the_area_is_what_counting_pairs_and_scikit_learn_give(distinct: int) -> None:
    predictions = (RNG.integers(0, distinct, 400) / distinct).astype(np.float32)
    labels = (RNG.random(400) < 0.2 + 0.5 * predictions).astype(np.int32)
    found = accuracy.area(predictions, labels)
    assert found == pytest.approx(plain_area(predictions, labels), abs=1e-12)
    assert found == pytest.approx(roc_auc_score(labels, predictions), abs=1e-12)


def test_areas_that_are_known() -> None:
    half = np.array([0.1, 0.9, 0.5, 0.5], np.float32)
    assert accuracy.area(half, np.array([0, 1, 0, 1])) == 0.875
    assert accuracy.area(half, np.array([1, 0, 1, 0])) == 0.125
    assert accuracy.area(np.array([-0.0, 0.0], np.float32), np.array([0, 1])) == 0.5
    with pytest.raises(DatasetError, match="same label"):
        accuracy.area(half, np.ones(4))


Log = Callable[..., Path]


@pytest.fixture
def dataset(tmp_path: Path) -> Criteo:
    write_rows(tmp_path)
    return open_criteo(tmp_path)


def written(dataset: Criteo, path: Path, predictions: NDArray[np.float32], order: list[int]) -> Path:
    """A log as LoadGen writes it, with the payloads that the harness makes."""
    answer = answering(Pairs(dataset, Form()))
    lines = []
    for sequence, number in enumerate(order):
        out = np.zeros((1, Dlrm().payload(dataset).width), np.float32)
        lengths = answer((predictions[dataset.bounds[number] : dataset.bounds[number + 1]],), [number], out)
        assert lengths is not None
        entry = {"seq_id": sequence, "qsl_idx": number, "data": out[0, : lengths[0]].tobytes().hex().upper()}
        lines.append(json.dumps(entry))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    return path


def test_payloads_are_pairs_and_the_line_is_upstreams(dataset: Criteo, tmp_path: Path) -> None:
    predictions = np.clip(0.3 * dataset.labels + RNG.random(3000) * 0.6, 0, 1).astype(np.float32)
    order = [*reversed(range(dataset.count)), 2, 2]
    log = written(dataset, tmp_path / "log.json", predictions, order)
    payload = np.frombuffer(bytes.fromhex(json.loads(log.read_text())[-1]["data"]), np.float32).reshape(-1, 2)
    np.testing.assert_array_equal(payload[:, 0], predictions[dataset.bounds[2] : dataset.bounds[3]])
    np.testing.assert_array_equal(payload[:, 1], dataset.labels[dataset.bounds[2] : dataset.bounds[3]])
    expected = 100 * roc_auc_score(dataset.labels, predictions)
    good = int((np.round(predictions) == dataset.labels).sum())
    scored = Dlrm().score(log, dataset, Pairs(dataset, Form()))
    assert scored.values[0] == pytest.approx(expected, abs=1e-9)
    share = 100 * good / 3000
    assert (
        scored.line == f"AUC={expected:.3f}%, accuracy={share:.3f}%, good={good}, total=3000, queries={dataset.count}"
    )


def test_a_batch_of_samples_is_cut_into_its_payloads(dataset: Criteo) -> None:
    samples = Pairs(dataset, Form())
    numbers = [4, 1, 4]
    lengths = samples.lengths[numbers]
    outputs = np.arange(int(lengths.sum()), dtype=np.float32).reshape(-1, 1)
    out = np.full((3, Dlrm().payload(dataset).width), -1, np.float32)
    found = answering(samples)((outputs,), numbers, out)
    assert found == (2 * lengths).tolist()
    values = np.concatenate([row[:length] for row, length in zip(out, 2 * lengths, strict=True)]).reshape(-1, 2)
    np.testing.assert_array_equal(values[:, 0], outputs[:, 0])
    np.testing.assert_array_equal(values[:, 1], np.concatenate([samples.labels(number) for number in numbers]))


@pytest.mark.parametrize("damage", ["swap", "short", "odd", "hex", "number", "nan", "text"])
def test_answers_that_cannot_be_are_refused(dataset: Criteo, tmp_path: Path, damage: str) -> None:
    predictions = RNG.random(3000).astype(np.float32)
    predictions[5] = np.nan if damage == "nan" else 0.5
    log = written(dataset, tmp_path / "log.json", predictions, list(range(dataset.count)))
    entries = json.loads(log.read_text())
    data = entries[3]["data"]
    changes: dict[str, dict[str, Any]] = {
        "swap": {"data": entries[0]["data"]},
        "short": {"data": data[:-16]},
        "odd": {"data": data[:-8]},
        "hex": {"data": "XY" + data[2:]},
        "number": {"qsl_idx": 1000},
    }
    entries[3] |= changes.get(damage, {})
    text = "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n"
    log.write_text(text.replace('"qsl_idx"', '"qsl', 1) if damage == "text" else text)
    with pytest.raises(SampleError, match=r"log\.json"):
        accuracy.score(log, dataset)


# Conversion


def line(values: list[Any]) -> str:
    return "\t".join("" if value is None else str(value) for value in values) + "\n"


def draw_lines(count: int, seed: int) -> list[list[Any]]:
    rng = np.random.default_rng(seed)
    lines: list[list[Any]] = []
    for _ in range(count):
        numbers = [int(value) for value in np.floor(np.exp(rng.normal(2, 4, 13))) - 2]
        categories = [f"{int(value):08x}" for value in (rng.random(26) ** 4 * rng.integers(5, 2**32, 26))]
        fields: list[Any] = [int(rng.random() < 0.2), *numbers, *categories]
        lines.append([None if rng.random() < 0.1 and at else value for at, value in enumerate(fields)])
    return lines


def plain_conversion(days: list[list[list[Any]]], limit: int) -> tuple[NDArray[np.int32], list[int]]:
    """What upstream's two passes with dictionaries give: rows of the first half of the last day, and table sizes."""
    dictionaries: list[dict[int, int]] = [{} for _ in range(26)]
    for day in days:
        for fields in day:
            for column, text in enumerate(fields[14:]):
                dictionaries[column].setdefault(int(text or "0", 16) % limit, len(dictionaries[column]))
    converted = [
        [fields[0], *(max(0, value or 0) for value in fields[1:14])]
        + [dictionaries[column][int(text or "0", 16) % limit] for column, text in enumerate(fields[14:])]
        for fields in days[-1]
    ]
    return np.array(converted[: -(-len(converted) // 2)], np.int32), [len(each) for each in dictionaries]


def write_day(path: Path, lines: list[list[Any]]) -> None:
    text = "".join(map(line, lines)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


@pytest.mark.parametrize("block", [700, 20_000, conversion.BLOCK])
def test_days_become_the_binary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(conversion, "BLOCK", block)
    days = [draw_lines(300, 1), draw_lines(200, 2), draw_lines(401, 3)]
    for name, day in zip(("day_0", "day_1.gz", "day_2"), days, strict=True):
        write_day(tmp_path / name, day)
    progress: list[tuple[int, int, str]] = []
    output = tmp_path / "out"
    output.mkdir()
    made = Dlrm(limit=5000, days=3).convert_data(tmp_path, output, lambda *each: progress.append(each))
    expected, counts = plain_conversion(days, 5000)
    np.testing.assert_array_equal(np.fromfile(output / BINARY, "<i4").reshape(-1, 40), expected)
    assert made["table_rows"] == counts
    assert made["rows"] == 201
    assert np.load(output / "day_fea_count.npz")["counts"].tolist() == counts
    first = [int(fields[14] or "0", 16) % 5000 for day in days for fields in day]
    assert np.load(output / "day_fea_dict_0.npz")["unique"].tolist() == list(dict.fromkeys(first))
    assert (output / TRACE).read_text() == aggregation.trace(open_criteo(output).bounds)
    size = sum(path.stat().st_size for path in tmp_path.glob("day_*"))
    assert progress[-1] == (size, size, "bytes")
    assert {path.name for path in output.iterdir()} == {
        BINARY,
        TRACE,
        conversion.COVERED,
        "day_fea_count.npz",
        *(f"day_fea_dict_{table}.npz" for table in range(26)),
    }


def test_days_that_are_done_are_not_read_again(tmp_path: Path) -> None:
    days = [draw_lines(60, 1), draw_lines(60, 2), draw_lines(60, 3)]
    for number, day in enumerate(days):
        write_day(tmp_path / f"day_{number}", day)
    output = tmp_path / "out"
    output.mkdir()

    def convert() -> None:
        conversion.convert(tmp_path, output, limit=5000, days=3, report=lambda *_: None)

    convert()
    whole = (output / BINARY).read_bytes()
    (tmp_path / "day_0").unlink()
    (tmp_path / "day_1").unlink()
    (output / BINARY).unlink()
    convert()  # with what is known of the days that are gone
    assert (output / BINARY).read_bytes() == whole
    (output / conversion.COVERED).unlink()
    with pytest.raises(DatasetError, match="lacks 2 of 3 day files") as raised:
        convert()
    assert raised.value.details == ("day_0 or day_0.gz", "day_1 or day_1.gz")


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four days of 60 rows, and an empty folder `out` beside them. Nothing here depends on waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    (tmp_path / "days").mkdir()
    (tmp_path / "out").mkdir()
    for number in range(4):
        write_day(tmp_path / f"days/day_{number}", draw_lines(60, number))
    return tmp_path / "days"


def converted(source: Path, output: Path, days: int = 3) -> tuple[bytes, Any, int]:
    """The binary file, the sizes of the tables, and how many days were not read again."""
    output.mkdir(exist_ok=True)
    made = conversion.convert(source, output, limit=5000, days=days, report=lambda *_: None)
    assert np.load(output / "day_fea_count.npz")["counts"].tolist() == made["table_rows"]
    return (output / BINARY).read_bytes(), made["table_rows"], made["days_taken_up"]


def anew(source: Path, tmp_path: Path, days: int = 3) -> tuple[bytes, Any]:
    return converted(source, tmp_path / "anew", days)[:2]


@pytest.mark.parametrize(("changed", "kept"), [(0, 0), (1, 1), (2, 2)])
def test_days_that_changed_are_read_again_with_all_after_them(
    days: Path, tmp_path: Path, changed: int, kept: int
) -> None:
    converted(days, tmp_path / "out")
    before = (days / f"day_{changed}").stat()
    text = (days / f"day_{changed}").read_bytes()
    flipped = text[:-3] + (b"7" if text[-3:-2] != b"7" else b"8") + text[-2:]
    (days / f"day_{changed}").write_bytes(flipped)
    os.utime(days / f"day_{changed}", ns=(before.st_atime_ns, before.st_mtime_ns))
    *found, taken = converted(days, tmp_path / "out")
    assert tuple(found) == anew(days, tmp_path)
    assert taken == kept


def test_a_copy_of_the_days_is_known_and_another_log_is_not(days: Path, tmp_path: Path) -> None:
    whole = converted(days, tmp_path / "out")[:2]
    shutil.copytree(days, tmp_path / "copy")
    assert converted(tmp_path / "copy", tmp_path / "out") == (*whole, 2)
    write_day(tmp_path / "copy/day_0", draw_lines(60, 77))
    assert converted(tmp_path / "copy", tmp_path / "out")[2] == 0


def test_fewer_and_more_days_are_what_they_are_from_the_start(days: Path, tmp_path: Path) -> None:
    for count, taken in ((3, 0), (2, 1), (4, 2), (3, 2), (1, 0)):
        assert converted(days, tmp_path / "out", count) == (*anew(days, tmp_path, count), taken)
        shutil.rmtree(tmp_path / "anew")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped_within(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-120 if path.suffix == ".npz" else len(data) // 2] ^= 1
    path.write_bytes(data)


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["day_fea_dict_3.npz", conversion.COVERED])
@pytest.mark.parametrize("damage", [emptied, halved, flipped_within, Path.unlink])
def test_damaged_dictionaries_are_made_again(
    days: Path, tmp_path: Path, damage: Callable[[Path], object], name: str
) -> None:
    whole = converted(days, tmp_path / "out")[:2]
    damage(tmp_path / "out" / name)
    assert converted(days, tmp_path / "out") == (*whole, 0)
    assert converted(days, tmp_path / "out") == (*whole, 2)


def test_a_pipe_in_place_of_a_dictionary_does_not_hang(days: Path, tmp_path: Path) -> None:
    whole = converted(days, tmp_path / "out")[:2]
    replaced_by_a_pipe(tmp_path / "out/day_fea_dict_0.npz")
    assert converted(days, tmp_path / "out") == (*whole, 0)


@pytest.mark.parametrize("files", [5, 27])
def test_a_conversion_that_is_killed_while_it_writes_loses_no_day(
    days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    """At the end of the second day, after some dictionaries or all, but before the note."""
    converted(days, tmp_path / "out", 2)
    for name in (BINARY, TRACE):
        (tmp_path / "out" / name).unlink()
    left = [files]

    def savez(stream: Any, **arrays: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        keep(stream, **arrays)

    keep = np.savez
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", savez)
        with pytest.raises(KeyboardInterrupt):
            converted(days, tmp_path / "out", 4)
    assert converted(days, tmp_path / "out", 4) == (*anew(days, tmp_path, 4), 2)


def packed(path: Path, text: bytes | None = None) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes() if text is None else text))


def test_an_empty_day_is_named_before_any_work(days: Path, tmp_path: Path) -> None:
    emptied(days / "day_0")
    (days / "day_1").unlink()
    with pytest.raises(DatasetError, match="2 of 3 day files are missing or cannot be right") as raised:
        converted(days, tmp_path / "out")
    assert raised.value.details == ("day_0: 0 bytes cannot be a day", "day_1 or day_1.gz: missing")
    write_day(days / "day_1", [])
    packed(days / "day_1")
    write_day(days / "day_0", draw_lines(60, 0))
    with pytest.raises(DatasetError, match=r"day_1\.gz has no rows"):
        converted(days, tmp_path / "out")


def test_the_packed_day_is_taken_where_the_other_is_empty(days: Path, tmp_path: Path) -> None:
    whole = anew(days, tmp_path)
    packed(days / "day_0")
    assert converted(days, tmp_path / "out") == (*whole, 0)
    emptied(days / "day_0")
    assert converted(days, tmp_path / "out") == (*whole, 0)


def test_two_files_of_a_day_that_differ_are_both_named(days: Path, tmp_path: Path) -> None:
    packed(days / "day_1")
    halved(days / "day_1")
    with pytest.raises(DatasetError) as raised:
        converted(days, tmp_path / "out")
    (detail,) = raised.value.details
    assert detail.startswith("day_1 has ")
    assert "day_1.gz unpacks to another number" in detail


def test_a_day_that_is_there_twice_is_named(days: Path, tmp_path: Path) -> None:
    packed(days / "day_1", (days / "day_0").read_bytes())
    (days / "day_1").unlink()
    with pytest.raises(DatasetError, match=r"day_1\.gz has the rows of day_0"):
        converted(days, tmp_path / "out")


def test_a_packed_day_must_be_whole_and_nothing_may_follow_it(days: Path, tmp_path: Path) -> None:
    packed(days / "day_1")
    (days / "day_1").unlink()
    path = days / "day_1.gz"
    whole = path.read_bytes()
    cut_in_data, wrong_sum = whole[:-300], bytearray(whole)
    wrong_sum[-6] ^= 1
    middle = bytearray(whole)
    middle[len(middle) // 2] ^= 255
    for damaged in (cut_in_data, whole[:-4], bytes(wrong_sum), bytes(middle), whole + b"rubbish"):
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"cannot read .*day_1\.gz|cannot be read"):
            converted(days, tmp_path / "out")
    path.write_bytes(whole)
    expected, text = anew(days, tmp_path), gzip.decompress(whole)
    path.write_bytes(gzip.compress(text[:5000]) + gzip.compress(text[5000:]) + bytes(512))
    assert converted(days, tmp_path / "out")[:2] == expected


def test_a_pipe_or_a_folder_is_no_day(days: Path, tmp_path: Path) -> None:
    replaced_by_a_pipe(days / "day_0")
    (days / "day_1").unlink()
    (days / "day_1").mkdir()
    with pytest.raises(DatasetError) as raised:
        converted(days, tmp_path / "out")
    assert raised.value.details[0] == "day_0: a FIFO, not a regular file"
    assert raised.value.details[1] == "day_1: a folder, not a regular file"


def test_a_converted_file_may_lie_among_the_days(days: Path, tmp_path: Path) -> None:
    assert converted(days, days)[:2] == anew(days, tmp_path)
    assert converted(days, days)[2] == 2


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda row: b"\0" * len(row), "1 columns instead of 40"),
        (lambda row: bytes(39), "1 columns instead of 40"),
        (lambda row: row.replace(b"\t", b"\x07", 1), "39 columns instead of 40"),
        (lambda row: row.replace(b"\t", b"\0"), "1 columns instead of 40"),
        (lambda row: b"\t" * 39, "it has no label"),
    ],
)
def test_only_tabs_divide_a_row(days: Path, tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    lines = (days / "day_0").read_bytes().splitlines()
    lines[20] = damage(lines[20])
    (days / "day_0").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DatasetError, match="1 lines of the day files cannot be read") as raised:
        converted(days, tmp_path / "out")
    assert raised.value.details == (f"day_0, line 21: {reason}",)


def test_a_day_that_ends_within_a_field_is_noticed(days: Path, tmp_path: Path) -> None:
    rows_of = [*draw_lines(59, 5), [1, *range(13), *[f"{number:08x}" for number in range(26)]]]
    write_day(days / "day_0", rows_of)
    text = (days / "day_0").read_bytes()
    whole = anew(days, tmp_path)
    (days / "day_0").write_bytes(text[:-1])
    assert converted(days, tmp_path / "out")[:2] == whole
    for cut in (2, 5, 9):
        (days / "day_0").write_bytes(text[:-cut])
        with pytest.raises(DatasetError) as raised:
            converted(days, tmp_path / "out")
        assert raised.value.details == ("day_0, line 60: the file ends within this line",)


def test_a_day_without_line_ends_takes_no_memory(days: Path, tmp_path: Path) -> None:
    with (days / "day_0").open("ab") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(DatasetError) as raised:
        converted(days, tmp_path / "out")
    assert raised.value.details == ("day_0, line 61: no end of line within 65536 bytes",)
    (days / "day_0").write_bytes(b"\n" * (4 << 20))
    with pytest.raises(DatasetError, match="1000 lines at least") as raised:
        converted(days, tmp_path / "out")
    assert raised.value.details[-1] == "… and 990 more"


def test_every_bad_line_is_reported(tmp_path: Path) -> None:
    lines = draw_lines(500, 4)
    texts = [line(fields) for fields in lines]
    texts[10] = "\t".join(texts[10].split("\t")[:30]) + "\n"
    texts[77] = line([*lines[77][:20], "6f0g1234", *lines[77][21:]])
    texts[78] = line([*lines[78][:3], "1.5", *lines[78][4:]])
    texts[200] = line([2, *lines[200][1:]])
    texts[201] = line([*lines[201][:5], 2**31, *lines[201][6:]])
    texts[300] = line([*lines[300][:39], "123456789"])
    texts[301] = "\n"
    (tmp_path / "day_0").write_text("".join(texts))
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="7 lines of the day files cannot be read") as raised:
        conversion.convert(tmp_path, tmp_path / "out", limit=5000, days=1, report=lambda *_: None)
    assert raised.value.details == (
        "day_0, line 11: 30 columns instead of 40",
        "day_0, line 78: column 21 is no hexadecimal number: '6f0g1234'",
        "day_0, line 79: column 4 is no whole number: '1.5'",
        "day_0, line 201: the label is 2, not 0 or 1",
        f"day_0, line 202: {2**31} is larger than {2**31 - 1}",
        "day_0, line 301: column 40 is no hexadecimal number: '123456789'",
        "day_0, line 302: 1 columns instead of 40",
    )
    assert not list((tmp_path / "out").iterdir())


def block_of(text: bytes) -> NDArray[np.uint8]:
    return next(rows.blocks(io.BytesIO(text), 1 << 20))


@pytest.mark.parametrize("character", [bytes([code]) for code in range(256) if code not in (9, 10)])
def test_a_character_is_taken_for_what_python_takes_it(character: bytes) -> None:
    digits = b"0123456789abcdefABCDEF"
    for column, fine in ((20, character in digits), (5, character.isdigit()), (6, False)):
        fields = [b"1", *[b"12"] * 13, *[b"00c0ffee"] * 26]
        fields[column] = b"12" + character if column == 20 else character + b"34" if column == 5 else b"3" + character
        if column == 6:
            fine = character.isdigit()
        if column == 5 and character == b"-":
            fine = True
        values, count, bad = rows.parse(block_of(b"\t".join(fields) + b"\n"), 1)
        assert count == 1
        assert (not bad) is fine, (column, character)
        if fine:
            text = fields[column]
            assert values[0, column] == (int(text, 16) if column == 20 else max(0, int(text)))


def test_long_numbers_and_a_last_line_without_an_end() -> None:
    fields: list[Any] = [
        0,
        2147483647,
        -1234567890,
        123456789,
        -5,
        0,
        None,
        99999999,
        *[7] * 6,
        *["f"] * 25,
        "FFFFFFFF",
    ]
    values, _, bad = rows.parse(block_of(line(fields).rstrip("\n").encode()), 1)
    assert not bad
    assert values[0].tolist() == [0, 2147483647, 0, 123456789, 0, 0, 0, 99999999, *[7] * 6, *[15] * 25, 0xFFFFFFFF]


PEAK = """
import re, sys
from pathlib import Path
from mlperf_docker.harness.models.dlrm import conversion
conversion.convert(Path(sys.argv[1]), Path(sys.argv[2]), limit=100_000, days=1, report=lambda *_: None)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Not ru_maxrss, which begins with what the process had that started this one."""


def test_memory_stays_flat_while_the_input_grows_tenfold(tmp_path: Path) -> None:
    text = "".join(map(line, draw_lines(4000, 5))).encode()  # 1 MB
    peaks = []
    for times in (5, 50):
        folder = tmp_path / str(times)
        (folder / "out").mkdir(parents=True)
        (folder / "day_0").write_bytes(text * times)
        given = [sys.executable, "-c", PEAK, str(folder), str(folder / "out")]
        done = subprocess.run(given, capture_output=True, text=True, env=environment(), timeout=60, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.05 * peaks[0], peaks
