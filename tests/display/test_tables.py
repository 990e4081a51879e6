"""Tables on terminals of several widths, and in pipes, where they stay as they are."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from mlperf_docker.display.tables import fitted, folded
from mlperf_docker.errors import UsageError
from mlperf_docker.results import store
from tests.cli.test_cli import tool
from tests.results.run_results import write_run

COMMAND = Path(sys.executable).with_name("mlperf-docker")
HEADER = ("name", "note", "path")
ROWS = [("a", "some words that can go on below", "/a/path/that/is/long"), ("b", "-", "/b")]


def on_terminal(columns: int, *arguments: str) -> list[str]:
    """Run the command on a terminal of so many columns and return the lines that it prints."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}
    running = subprocess.Popen([COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = bytearray()
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the command has ended
            break
    os.close(ours)
    assert running.wait(timeout=60) == 0, seen
    return seen.decode().splitlines()


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_lists_fit_the_terminal_and_show_first_what_matters(columns: int, tmp_path: Path) -> None:
    write_run(tmp_path, "20260101T000000.000-resnet50-onnxruntime-cpu-Offline-performance")
    first = {
        ("list",): ["model", "backend", "device", "state", "evidence"],
        ("models", "list"): ["model", "backend", "state", "size"],
        ("results", "list", "--results", str(tmp_path)): ["run", "verdict", "figure", "cell"],
    }
    for arguments, names in first.items():
        lines = on_terminal(columns, *arguments)
        assert max(map(len, lines)) <= columns
        assert lines[0].split()[: len(names)] == names
    for line in on_terminal(columns, "data", "list"):
        assert len(line) <= columns or max(map(len, line.split())) > columns - 10, line


def test_columns_without_room_are_named() -> None:
    assert fitted(HEADER, ROWS, 30, order=("name", "path", "note")).splitlines() == [
        "name  path",
        "a     /a/path/that/is/long",
        "b     /b",
        "Not shown: note. A wider",
        "terminal, a pipe or --json has",
        "them.",
    ]


def test_cells_go_on_below_themselves_and_words_stay_whole() -> None:
    assert fitted(HEADER, ROWS, 48).splitlines() == [
        "name  note                  path",
        "a     some words that can   /a/path/that/is/long",
        "      go on below",
        "b     -                     /b",
    ]
    assert max(map(len, fitted(("one",), [("x" * 300,)], 20).splitlines())) == 20


def test_a_pipe_gets_whole_lines() -> None:
    assert fitted(HEADER, ROWS, None, order=("name",)).splitlines()[1] == (
        "a     some words that can go on below  /a/path/that/is/long"
    )
    assert len(tool("models", "list").stdout.splitlines()[0].split()) == 9
    assert folded("Name: x y z", None, 6) == "Name: x y z"


def test_facts_go_on_below_themselves_and_paths_stay_whole() -> None:
    path = "/a/path/" + "x" * 40
    text = f"Name:   some words that can go on\nPath:   {path}"
    assert folded(text, 24, 8).splitlines() == ["Name:   some words that", "        can go on", f"Path:   {path}"]


def test_runs_are_named_briefly_and_found_by_that(tmp_path: Path) -> None:
    names = ("20260101T000000.000-a", "20260101T000001.000-b", "20260101T000001.500-c", "baseline")
    found = [write_run(tmp_path, name) for name in names]
    brief = store.brief_names(found)
    assert brief == ["20260101T000000", *names[1:]]
    assert [store.find(name, tmp_path).name for name in brief] == list(names)
    assert store.find("base", tmp_path).name == "baseline"
    with pytest.raises(UsageError, match="2 runs have names that begin with 20260101T000001"):
        store.find("20260101T000001", tmp_path)
    with pytest.raises(UsageError, match="There is no result"):
        store.find("2027", tmp_path)
