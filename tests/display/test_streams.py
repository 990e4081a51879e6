"""Output where stdout and stderr are closed, full, without a reader, not in UTF-8, or a terminal."""

import ast
import os
import pty
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display import printable
from mlperf_docker.system import strict_json
from mlperf_docker.system.paths import assets

COMMAND = Path(sys.executable).with_name("mlperf-docker")
NO_DATA = ("data", "verify", "--quick", "imagenet2012", "/nowhere")
ESCAPES = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202e"


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which $TOOL is the command, with no engine to be found."""
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere.sock", "TOOL": str(COMMAND), **variables}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], env=environment, capture_output=True, timeout=60, check=False
    )


def on_terminal(*arguments: str) -> bytes:
    """Run the command on a terminal of its own and return what comes there."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = bytearray()
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:  # the last of its users has closed it
            break
    os.close(ours)
    done.wait(timeout=60)
    return bytes(seen)


def test_a_reader_that_has_gone_is_no_error() -> None:
    done = shell('{ "$TOOL" data list --json; echo "$?" >&2; } | true')
    assert done.stderr == b"0\n"


@pytest.mark.parametrize("arguments", ["--help", "models list", "render --check --help", "data list --json"])
def test_a_full_stdout_is_told_in_one_line(arguments: str) -> None:
    done = shell(f'"$TOOL" {arguments} > /dev/full')
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == b"Error: stdout cannot be written: no space left on device.\n"


@pytest.mark.parametrize("where", [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "2>&1 | true"])
def test_the_exit_code_is_that_of_the_command_wherever_its_output_goes(where: str) -> None:
    assert shell(f'"$TOOL" {shlex.join(NO_DATA)} {where}').returncode == ExitCode.DATASET
    assert shell(f'"$TOOL" show nothing {where}').returncode == ExitCode.USAGE


@pytest.mark.parametrize("where", [">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_closed_streams_are_no_error(where: str) -> None:
    done = shell(f'"$TOOL" models list {where}')
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(variables: dict[str, str]) -> None:
    done = shell('"$TOOL" models list', **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"f6a4da60?" in done.stdout
    assert done.stdout.isascii()


def test_names_that_are_not_in_the_locales_encoding_come_out_as_they_are(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9\x1b[1m.html"
    script = f"from mlperf_docker.display import streams\nstreams.prepare()\nstreams.out({os.fsdecode(name)!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert done.stdout == name + b"\n"


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    script = (
        "from mlperf_docker.display import streams\nstreams.prepare()\nstreams.out('x' * 1_000_000)\nstreams.finish(0)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE) as writer:
        os.close(writing)
        time.sleep(0.5)  # the pipe is full by now
        with os.fdopen(reading, "rb") as pipe:
            assert len(pipe.read()) == 1_000_001
        assert writer.wait(timeout=60) == 0


def test_no_control_character_reaches_a_terminal_or_stderr() -> None:
    assert b"\x1b" not in on_terminal("show", ESCAPES)
    assert rb"\x1b]0;title\x07\x1b[31mred\x9b2J\u202e" in on_terminal("show", ESCAPES)
    said = shell(f'"$TOOL" show {shlex.quote(ESCAPES)}').stderr
    assert rb"\x1b]0;title" in said
    assert b"\x1b" not in said


def test_a_line_stays_a_line() -> None:
    assert printable.one_line("a\r\nb\tc\x00\x7f") == r"a\r\nb\tc\x00\x7f"
    assert printable.lines("a\r\nb\tc\x1b") == "a\\r\nb\tc\\x1b"
    assert printable.one_line("caf\u00e9 \u2014 \udcff \ud800") == "caf\u00e9 \u2014 \\xff \\ud800"


def test_json_is_what_every_reader_takes() -> None:
    value = {"a\ud800": [float("nan"), float("inf"), -float("inf"), 1.5, "\udcff\x1b"], "b": (None, True, 2**80)}
    text = strict_json.dumps(value)
    assert text.isascii()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert '"a\\ufffd"' in text
    assert "\\ufffd\\u001b" in text


def test_text_files_are_opened_with_an_encoding() -> None:
    """Calls that would read or write text in whatever encoding the locale has."""
    package = assets() / "mlperf_docker"
    found = [
        f"{path.relative_to(package)}:{call.lineno}: {ast.unparse(call)}"
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _takes_the_locales_encoding(call)
    ]
    assert not found, "\n".join(found)


def _takes_the_locales_encoding(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    if name.endswith((".read_text", ".write_text")):
        return not name.startswith(("atomic.", "data_files."))  # ours, which are always UTF-8
    if name == "open" or name.endswith("path.open"):
        mode = [given.get("mode", ast.Constant("")), *call.args[0 if name != "open" else 1 :][:1]][-1]
        return isinstance(mode, ast.Constant) and "b" not in str(mode.value)
    return name.startswith("subprocess.") and bool(given.keys() & {"text", "universal_newlines"})
