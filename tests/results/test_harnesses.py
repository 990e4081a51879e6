"""Our harness and the reference implementation side by side, out of their results."""

from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.results.harnesses import SideBySide, side_by_side, side_by_side_text
from mlperf_docker.results.values import RunResult
from tests.results.run_results import REFERENCE, run_result
from tests.results.test_answers import floats, write_log

SCORE = {"metric": "top-1", "value": 87.5, "target": 87.5, "passed": True}


def performance(second: int, value: float, **changes: Any) -> RunResult:
    metric = {"name": "result_samples_per_second", "value": value, "unit": "samples/s"}
    return run_result(results_dir=f"/results/20260101T0000{second:02}.000-run", metric=metric, **changes)


def accuracy(folder: Path, line: str, answer: float, **changes: Any) -> RunResult:
    write_log(folder, {0: floats(1), 1: floats(answer)})
    (folder / "accuracy.txt").write_text(f"{line}\n")
    return run_result(results_dir=str(folder), mode="accuracy", metric=None, accuracy=SCORE, **changes)


@pytest.fixture
def both(tmp_path: Path) -> list[RunResult]:
    return [
        accuracy(tmp_path / "20260101T000001.000-own", "accuracy=50.000%", 2),
        accuracy(tmp_path / "20260101T000002.000-reference", "accuracy=50.000%", 2, harness=REFERENCE),
        performance(5, 50, harness=REFERENCE),
        performance(3, 100),
        performance(4, 130),
        performance(6, 100, harness=REFERENCE),
    ]


def only(runs: list[RunResult]) -> SideBySide:
    (found,) = side_by_side(runs)
    return found


def test_performance_runs_pair_by_their_age(both: list[RunResult]) -> None:
    found = only(both)
    assert found.ratios == (2.0, 1.3)
    assert found.ratio_text == "1.65 x (1.30 to 2.00, 2 rounds)"


def test_latencies_compare_the_other_way_round() -> None:
    found = only(
        [performance(1, 10, scenario="SingleStream"), performance(2, 30, scenario="SingleStream", harness=REFERENCE)]
    )
    assert found.ratios == (3.0,)


def test_harnesses_that_answer_alike_are_alike(both: list[RunResult]) -> None:
    found = only(both)
    assert found.alike
    assert found.fields()["answers"]["equal"] == 2
    assert "accuracy=50.000%: the same line" in side_by_side_text(found)


def test_another_accuracy_line_is_told(tmp_path: Path, both: list[RunResult]) -> None:
    both[0] = accuracy(tmp_path / "20260101T000000.000-own", "accuracy=100.000%", 3)
    found = only(both)
    assert not found.alike
    assert found.same_line is False
    assert "accuracy=100.000%; the reference's: accuracy=50.000%" in side_by_side_text(found)
    assert "1 of the 1 numbers in the others differ, largest difference 1" in side_by_side_text(found)


def test_an_invalid_run_of_either_is_told(both: list[RunResult]) -> None:
    both[2] = performance(5, 50, harness=REFERENCE, valid=False, reasons=["3 batches failed"])
    found = only(both)
    assert not found.alike
    assert "3 batches failed" in side_by_side_text(found)


def test_runs_of_one_harness_alone_have_nothing_beside_them(both: list[RunResult]) -> None:
    assert list(side_by_side([run for run in both if run.harness is None])) == []


def test_runs_on_other_data_are_not_beside_each_other() -> None:
    tiny = performance(1, 1, synthetic_size="tiny")
    assert list(side_by_side([tiny, performance(2, 1, synthetic_size="full", harness=REFERENCE)])) == []
