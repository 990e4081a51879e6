"""Writing of a tree: whole or not at all, and never over what is none."""

from pathlib import Path, PurePosixPath

import pytest

from mlperf_docker.errors import UsageError
from mlperf_docker.submission import writing
from mlperf_docker.submission.files import AccuracyLog, TreeCopy, TreeText

PLACE = PurePosixPath("closed/acme/results/box/resnet/Offline/accuracy/mlperf_log_accuracy.json")


def test_a_failure_while_a_tree_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "tree"
    writing.write({PurePosixPath("closed/a"): TreeText("old")}, target)
    with pytest.raises(FileNotFoundError):
        writing.write({PurePosixPath("closed/a"): TreeText("new"), PLACE: TreeCopy(tmp_path / "absent")}, target)
    assert (target / "closed/a").read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["tree"]


def test_a_shortened_log_is_kept_as_a_whole_beside_the_tree(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"[\n" + b"0123456789abcde\n" * 5000 + b"]\n")
    writing.write({PLACE: AccuracyLog(log, 10240)}, tmp_path / "tree")
    short = (tmp_path / "tree" / PLACE).read_bytes()
    assert 8192 < len(short) <= 10240
    assert (short[:4096], short[-4096:]) == (log.read_bytes()[:4096], log.read_bytes()[-4096:])
    assert (writing.full_logs(tmp_path / "tree") / PLACE).read_bytes() == log.read_bytes()


def test_a_tree_whose_logs_are_short_has_no_folder_beside_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("[]\n")
    writing.write({PLACE: AccuracyLog(tmp_path / "log", 10240)}, tmp_path / "tree")
    assert (tmp_path / "tree" / PLACE).read_text() == "[]\n"
    assert not writing.full_logs(tmp_path / "tree").exists()


def test_a_folder_that_is_there_is_replaced_on_request_and_only_if_it_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "tree/closed/acme").mkdir(parents=True)
    with pytest.raises(UsageError, match="there already"):
        writing.place(tmp_path / "tree", force=False)
    assert writing.place(tmp_path / "tree", force=True) == tmp_path / "tree"
    (tmp_path / "tree/holiday.jpg").touch()
    with pytest.raises(UsageError, match="no submission's tree"):
        writing.place(tmp_path / "tree", force=True)


def test_an_empty_folder_is_a_place_for_a_tree(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    assert writing.place(tmp_path / "tree", force=False) == tmp_path / "tree"
