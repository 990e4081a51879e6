"""Handlers of SIGINT and SIGTERM: the process ends at once, also while C++ code runs."""

import multiprocessing
import os
import signal
import threading
from types import FrameType

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.harness.api.errors import HarnessError
from mlperf_docker.harness.api.events import Events


class Terminated(HarnessError):  # noqa: N818 (no error: it was asked for)
    """The user pressed Ctrl-C, or the container was told to stop."""

    exit_code = ExitCode.INTERRUPTED


def _left_to_the_watcher(signum: int, frame: FrameType | None) -> None:
    """Take the signal without KeyboardInterrupt; the interpreter also wrote its number to the wake-up descriptor."""


def exit_now(events: Events, error: HarnessError) -> None:
    """Say *error*, end the worker processes and leave. LoadGen has no way to stop a test, so no cleaner end exists."""
    try:
        events.error(error)
        for worker in multiprocessing.active_children():
            worker.kill()
    finally:
        os._exit(int(error.exit_code))


def watch(events: Events) -> None:
    """Handle SIGINT and SIGTERM from a thread of their own.

    Python runs signal handlers between bytecodes of the main thread, which may spend minutes inside StartTest. The
    C-level handler however writes to the wake-up descriptor at once, and the thread reads that.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _left_to_the_watcher)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        number = os.read(reader, 1)[0]
        name = signal.Signals(number).name
        exit_now(events, Terminated(f"stopped by {name}", hint="The log files written so far are kept."))

    threading.Thread(target=wait, name="signals", daemon=True).start()
