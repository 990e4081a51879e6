"""Signals at any moment of a command: it ends with 130 and says so, unless it was started with the signal ignored."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlperf_docker.contract.exit_codes import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PRELUDE = """
import os, signal, sys, time
number = int(sys.argv.pop(1))
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

def send(*_, times=1):
    for _ in range(times):
        os.kill(os.getpid(), number)
        time.sleep(0.01)

class Sending:
    def __init__(self, module):
        self.module = module

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            sys.meta_path.remove(self)
            send()
"""
_RUN = """
from mlperf_docker.cli.entry import main
main()
"""
_WHILE_MODULES_ARE_READ = 'sys.meta_path.insert(0, Sending("typer"))'
_WHILE_THE_COMMAND_LINE_IS_READ = "from mlperf_docker.display import streams; streams.out = send"
_IN_THE_COMMAND = 'sys.meta_path.insert(0, Sending("mlperf_docker.catalog.loading"))'
_SEVERAL = "from mlperf_docker.display import streams; streams.out = lambda _: send(times=6)"
_WHILE_SOMETHING_FAILS = """
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.errors import EngineError

def load():
    try:
        send()
    except KeyboardInterrupt:
        raise EngineError("the engine went away") from None

Catalog.load = load
"""
_IN_A_STEP_THAT_MAY_NOT_BREAK_OFF = """
from mlperf_docker.system import signals
from mlperf_docker.catalog.loading import Catalog

def load():
    with signals.deferred():
        send(times=3)
        sys.stderr.write("The step is done. ")

Catalog.load = load
"""


def run(cache: Path, moment: str, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with *cache* as its cache: what `list` remembers there would keep it from loading the catalog."""
    argv = [sys.executable, "-c", _PRELUDE + moment + _RUN, str(number), *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    ("moment", "arguments", "said"),
    [
        (_WHILE_MODULES_ARE_READ, ("--version",), ""),
        (_WHILE_THE_COMMAND_LINE_IS_READ, ("--version",), ""),
        (_IN_THE_COMMAND, ("list",), ""),
        (_SEVERAL, ("list",), ""),
        (_WHILE_SOMETHING_FAILS, ("list",), ""),
        (_IN_A_STEP_THAT_MAY_NOT_BREAK_OFF, ("list",), "The step is done. "),
    ],
    ids=["modules", "command line", "command", "several", "consequences", "deferred"],
)
def test_a_signal_at_any_moment_ends_with_130(
    number: int, moment: str, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = run(tmp_path, moment, number, *arguments)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, f"{said}Interrupted.\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ignored_at_the_start_stays_ignored(number: int, tmp_path: Path) -> None:
    done = run(tmp_path, f"signal.signal(number, signal.SIG_IGN)\n{_WHILE_MODULES_ARE_READ}", number, "--version")
    assert (done.returncode, done.stderr) == (0, "")
