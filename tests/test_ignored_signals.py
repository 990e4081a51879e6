"""The tests themselves where signals are ignored from the start, as for `nohup make test &`."""

import signal
import subprocess
import sys

import pytest

from mlperf_docker.system.paths import assets

INHERITED = """
import signal, subprocess, sys
print(*(name for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT")
        if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN))
"""


def ignore() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)


def test_a_program_that_a_test_starts_ignores_no_signal() -> None:
    done = subprocess.run([sys.executable, "-c", INHERITED], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_tests_that_send_signals_pass_where_these_were_ignored() -> None:
    chosen = (
        "tests/system/test_threads.py",
        f"{__file__}::{test_a_program_that_a_test_starts_ignores_no_signal.__name__}",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=assets(),
        preexec_fn=ignore,  # no threads that matter
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout
