"""A harness whose starter is gone: it ends by itself, whatever it is doing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlperf_docker.contract import places
from tests.harness.process import command, environment
from tests.harness.samples.test_preprocessing import many, preprocess_command, workers_gone

_HELD = {places.LIFELINE_VARIABLE: "1"}
_LOCKED = (
    "from mlperf_docker.harness.system import lifeline; lifeline.hold()\n"
    "import ctypes, signal, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print(repr(sys.stdin.read()), flush=True)\n"
    "ctypes.PyDLL(None).sleep(60)\n"  # unlike CDLL, keeps the interpreter's lock
)


def start(line: list[str], **variables: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        line, stdin=pipe, stdout=pipe, text=True, env={**environment(), **variables}, start_new_session=True
    )


def test_a_call_that_holds_the_interpreters_lock_is_ended() -> None:
    with start([sys.executable, "-c", _LOCKED], **_HELD) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "''\n", "the starter's words are nothing for the harness"
        time.sleep(0.5)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.parametrize("held", [True, False])
def test_only_where_it_was_told_so(tmp_path: Path, held: bool) -> None:
    """While worker processes are at work too; none of them stays."""
    (tmp_path / "cache").mkdir()
    line = preprocess_command(many(tmp_path / "data", 160), tmp_path / "cache")
    with start(line, **(_HELD if held else {})) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in process.stdout:
            if json.loads(text)["event"] == "progress":
                break
        process.stdin.close()
        last = json.loads(process.stdout.readlines()[-1])
        assert process.wait(timeout=30) == (130 if held else 0)
    assert last["event"] == ("error" if held else "result")
    workers_gone(process.pid)


def test_nobody_waits_for_the_child() -> None:
    with start(command("--version"), **_HELD) as process:
        assert process.stdout is not None
        assert process.stdout.read().startswith("mlperf-docker harness")
        assert process.wait(timeout=10) == 0
