"""Result files, the claim on a results folder, and finding earlier runs."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.display.tables import table
from mlperf_docker.errors import UsageError
from mlperf_docker.results import store
from mlperf_docker.results.text import result_line, result_text
from mlperf_docker.system import paths
from tests.results.run_results import FIELDS, SCORES, run_result, write_damaged, write_run


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    result = run_result(results_dir=str(tmp_path), duration_s=1.5)
    store.write(result, tmp_path)
    assert store.read(tmp_path) == result
    assert json.loads((tmp_path / "result.json").read_text())["a key of tomorrow"] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_container_run_by_hand_is_listed_too(tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({key: FIELDS[key] for key in FIELDS if key != "image"}))
    (only,) = store.read_all(tmp_path).results
    assert only.results_dir == str(folder)
    assert only.image is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "resnet50"}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "result.json").write_text(text)
    with pytest.raises(UsageError, match=r"result\.json is not a result") as raised:
        store.read(folder)
    found = store.read_all(tmp_path)
    assert found.results == ()
    assert [str(problem) for problem in found.left_out] == [str(raised.value)]
    assert "\n" not in str(raised.value)


def test_a_result_of_another_version_is_left_out_by_the_names_of_its_keys(tmp_path: Path) -> None:
    whole = write_run(tmp_path, "whole")
    path = write_damaged(tmp_path, "old")
    found = store.read_all(tmp_path)
    assert found.results == (whole,)
    (problem,) = map(str, found.left_out)
    assert problem.startswith(f"{path} is not a result of this tool: device: Field required;")
    assert "; and " in problem
    assert "http" not in problem


def test_results_are_in_the_order_of_their_time_and_those_without_one_count_as_old(tmp_path: Path) -> None:
    names = ("20260102T000000.000-b", "20260101T000000.000-c", "by-hand", "20260101T000000.500-a")
    for name in names:
        write_run(tmp_path, name)
    found = store.read_all(tmp_path).results
    assert [result.name for result in found] == [names[2], names[1], names[3], names[0]]
    assert found[0].started is None
    assert found[2].started == dt.datetime(2026, 1, 1, 0, 0, 0, 500_000, dt.UTC)
    assert store.find("last", tmp_path).name == names[0]


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({"synthetic_size": "tiny"}, "synthetic tiny"),
        ({}, "synthetic"),
        ({"synthetic": False}, "real"),
    ],
)
def test_data_are_real_or_synthetic_of_a_size(changes: dict[str, object], data: str) -> None:
    assert run_result(**changes).data == data


def test_find_takes_last_a_name_or_a_folder(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write_run(tmp_path, name)
    assert store.find("last", tmp_path).results_dir.endswith("/2")
    assert store.find("1", tmp_path).results_dir.endswith("/1")
    assert store.find(str(tmp_path / "1"), Path("/nowhere")).results_dir.endswith("/1")
    with pytest.raises(UsageError, match="There is no result"):
        store.find("3", tmp_path)


def test_a_claim_is_exclusive_while_it_lasts(tmp_path: Path) -> None:
    with store.claim(tmp_path, "a", print) as folder:
        (folder / "log").touch()
        with pytest.raises(UsageError, match="in use by another run"), store.claim(tmp_path, "b", print):
            pass
    with store.claim(tmp_path, "b", print) as empty:
        assert empty.parent == tmp_path
    assert folder.is_dir()
    assert not empty.exists(), "a run that wrote nothing leaves nothing"


def test_a_killed_run_holds_no_claim(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\nfrom mlperf_docker.results.store import claim\n"
        "with claim(pathlib.Path(sys.argv[1]), 'killed', print): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with store.claim(tmp_path, "next", print):
        pass


def test_a_missing_results_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"), store.claim(tmp_path / "no", "a", print):
        pass
    assert not (tmp_path / "no").exists()


def test_a_file_in_place_of_the_results_folder_is_told_from_a_missing_one(tmp_path: Path) -> None:
    file, nowhere = tmp_path / "file", tmp_path / "link"
    file.touch()
    nowhere.symlink_to("nowhere")
    for path in (file, nowhere):
        with pytest.raises(UsageError, match=f"{path} is not a folder") as raised, store.claim(path, "a", print):
            pass
        assert "mkdir" not in (raised.value.hint or ""), "it would fail"
        with pytest.raises(UsageError, match=f"{path} is not a folder"):
            store.check_readable(path)


def test_texts_hold_the_figures() -> None:
    assert result_line(run_result(results_dir="/r/one"))[0] == "one"
    assert "123.456 samples/s" in result_text(run_result())
    latency = {"name": "early_stopping_latency_ss", "value": 1_234_567, "unit": "ns"}
    assert result_line(run_result(metric=latency))[-1] == "1.235 ms"
    accuracy = {"metric": "top1", "value": 87.5, "target": 87.5, "passed": True}
    text = result_text(run_result(accuracy=accuracy, valid=False, reasons=["why not"]))
    assert "top1 87.5000 (target 87.5000)" in text
    assert "INVALID" in text
    assert "why not" in text


def test_every_score_is_shown_with_both_levels() -> None:
    text = result_text(run_result(accuracy=SCORES, valid=False))
    assert "FID 23.1000 (target 23.0000 to 24.0000)\n" in text
    assert "F1 90.5000 (target 89.9653, high target 90.7831 missed)\n" in text
    assert "WER 6.5000 (target at most 6.2000)\n" in text
    assert result_line(run_result(accuracy=SCORES))[-1].count(";") == 2


def test_scores_come_back_as_they_were_written() -> None:
    accuracy = json.loads(run_result(accuracy=SCORES).to_json())["accuracy"]
    assert accuracy == SCORES


def test_a_result_of_one_score_has_it_in_its_list() -> None:
    """As the versions before the list wrote it."""
    old = {"metric": "top1", "value": 74.0, "target": 75.5, "passed": False}
    made = run_result(accuracy=old).accuracy
    assert made is not None
    (score,) = made.scores
    assert (score.metric, score.value, score.target, score.passed) == ("top1", 74.0, 75.5, False)


def test_table_columns_line_up() -> None:
    assert table(("a", "bb"), [("ccc", "d")]) == "a    bb\nccc  d"


def test_runs_of_one_millisecond_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["20260101T000000.000", "20260101T000000.000", "20260101T000000.001"])
    monkeypatch.setattr(paths, "timestamp", lambda: next(times))
    for _ in range(2):
        with store.claim(tmp_path, "a", print) as folder:
            (folder / "log").touch()
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == [
        "20260101T000000.000-a",
        "20260101T000000.001-a",
    ]
