"""Results that were moved, that nobody made, or that hold what JSON, a terminal or a reader cannot take."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import UsageError
from mlperf_docker.results import store
from mlperf_docker.results.store import RESULT_FILE
from tests.cli.test_cli import tool
from tests.results.run_results import FIELDS, write_damaged, write_run

GOOD = "20260102T000000.000-good"
ODD = "20260101T000000.000-odd"
ESCAPES = "\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b\r\nVALID"


def strict(text: str) -> Any:
    """Parse *text* as a reader that knows neither NaN nor Infinity."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


UNFIT: dict[str, Callable[[Path], object]] = {
    "surrogate": lambda path: path.write_text(json.dumps({**FIELDS, "model": "\ud800"}), encoding="utf-8"),
    "long name": lambda path: path.write_text(json.dumps({**FIELDS, "model": "x" * 1000}), encoding="utf-8"),
    "deep": lambda path: path.write_text(nested(100_000), encoding="utf-8"),
    "nested": lambda path: path.write_text(json.dumps(FIELDS)[:-1] + f', "b": {nested(40)}}}', encoding="utf-8"),
    "digits": lambda path: path.write_text(json.dumps(FIELDS)[:-1] + f', "b": {"9" * 5000}}}', encoding="utf-8"),
    "large": lambda path: path.write_text(json.dumps({**FIELDS, "b": "x" * 5_000_000}), encoding="utf-8"),
    "many": lambda path: path.write_text(json.dumps({**FIELDS, "b": dict.fromkeys(range(300_000))}), encoding="utf-8"),
    "a list": lambda path: path.write_text("[1]", encoding="utf-8"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "fifo": lambda path: os.mkfifo(path),
    "folder": lambda path: path.mkdir(),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "circle": lambda path: path.symlink_to(path),
    "dangling": lambda path: path.symlink_to("nowhere"),
}


def test_unfit_results_are_named_in_one_line_each_and_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, GOOD)
    for name, make in UNFIT.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / RESULT_FILE)
    where = ("--results", str(tmp_path))
    done = tool("results", "list", "--json", *where)
    assert [Path(each["results_dir"]).name for each in strict(done.stdout)] == [GOOD]
    lines = done.stderr.splitlines()
    assert len(lines) == len(UNFIT)
    for name, line in zip(sorted(UNFIT), lines, strict=True):
        assert line.startswith("Left out: ")
        assert f"{tmp_path}/{name}" in line
        assert len(line) < 500
        with pytest.raises(UsageError, match=re.escape(f"{tmp_path}/{name}")):
            store.find(name, tmp_path)
    assert GOOD in tool("results", "show", *where).stdout
    assert "Internal" not in tool("results", "compare", GOOD, "deep", *where, expect=ExitCode.USAGE).stderr
    assert tool("results", "report", *where).stderr == done.stderr


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_figures_that_are_no_numbers_are_null_in_json(value: float | None, tmp_path: Path) -> None:
    metric = {"name": "x", "value": value, "unit": "samples/s"}
    text = json.dumps({**FIELDS, "metric": metric, "settings": {"rate": value}})
    write_damaged(tmp_path, ODD, text)
    write_run(tmp_path, GOOD)
    where = ("--results", str(tmp_path))
    for command in (("list", "--json"), ("show", ODD, "--json"), ("compare", ODD, GOOD, "--json")):
        assert strict(tool("results", *command, *where).stdout)
    assert strict(tool("results", "show", ODD, "--json", *where).stdout)["metric"]["value"] is None
    assert tool("results", "show", ODD, *where).stderr == ""
    assert tool("results", "report", *where).stderr == ""


def test_no_control_character_of_a_result_comes_out(tmp_path: Path) -> None:
    odd = {"model": ESCAPES, "reasons": [ESCAPES], "versions": {ESCAPES: ESCAPES}, "device_proof": {"a": ESCAPES}}
    write_damaged(tmp_path, ODD, json.dumps({**FIELDS, **odd, "later": ESCAPES}))
    write_damaged(tmp_path, f"b{ESCAPES}", json.dumps(FIELDS))
    write_run(tmp_path, GOOD)
    where = ("--results", str(tmp_path))
    for command in ("list", f"show {ODD}", "show last", f"compare {ODD} {GOOD}", "report"):
        done = tool("results", *command.split(), *where)
        for text in (done.stdout, done.stderr):
            assert not set(text) & set("\x1b\x07\r\x9b"), command
            assert "\nVALID" not in text, command
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert r"\x1b]0;title\x07" in report
    assert not set(report) & set("\x1b\x07\r\x9b")


def test_of_very_many_facts_the_first_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    write_damaged(tmp_path, ODD, json.dumps({**FIELDS, "settings": {str(n): n for n in range(5000)}}))
    write_damaged(tmp_path, GOOD, json.dumps({**FIELDS, "versions": {"v": "x" * 50_000}, "reasons": ["y" * 50_000]}))
    where = ("--results", str(tmp_path))
    compared = tool("results", "compare", ODD, GOOD, *where).stdout
    assert len(compared) < 30_000
    assert "4,90" in compared.splitlines()[-1]
    assert len(tool("results", "show", GOOD, *where).stdout) < 5000
    tool("results", "report", *where)
    assert "and 4,800 more" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_run_is_called_by_the_folder_that_it_is_in_now(tmp_path: Path) -> None:
    write_run(tmp_path, GOOD)
    archive = tmp_path / "archive"
    for name in ("baseline", "again"):
        (archive / name).mkdir(parents=True)
        (archive / name / RESULT_FILE).write_bytes((tmp_path / GOOD / RESULT_FILE).read_bytes())
    where = ("--results", str(archive))
    listed = [line.split()[0] for line in tool("results", "list", *where).stdout.splitlines()[1:]]
    assert listed == ["again", "baseline"]
    for name in listed:
        shown = tool("results", "show", name, *where).stdout
        assert shown.splitlines()[-1].split() == ["Results:", str(archive / name)]
    compared = json.loads(tool("results", "compare", "again", "baseline", "--json", *where).stdout)
    assert [run["run"] for run in compared["runs"]] == listed
    (archive / "again").rename(archive / "best")
    assert "best" in tool("results", "show", str(archive / "best")).stdout


def test_a_results_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "none"):
        assert str(place) in tool("results", "list", "--results", str(place), expect=ExitCode.USAGE).stderr
