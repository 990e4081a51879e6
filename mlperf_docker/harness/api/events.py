"""Events as JSON lines on the real stdout; everything else that a library prints goes to stderr."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from mlperf_docker.contract.events import (
    ErrorEvent,
    Event,
    NoticeEvent,
    Phase,
    PhaseEvent,
    ProgressEvent,
    ResultEvent,
    line,
)
from mlperf_docker.harness.api.errors import HarnessError

PROGRESS_INTERVAL_S = 0.2


class Events:
    """Writes events to *stream*. Safe to call from several threads.

    Progress is thinned to five lines a second, except the last line of a phase (done = total).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._next_progress = 0.0

    def emit(self, event: Event) -> None:
        """Write one event as one line."""
        text = line(event)
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()

    def phase(self, name: Phase) -> None:
        """Say that the run enters a step; the time is in seconds since the epoch."""
        self._next_progress = 0.0
        self.emit(PhaseEvent(name, time.time()))

    def progress(self, phase: Phase, done: int, total: int | None, unit: str) -> None:
        """Say how far a step is; total is None where nobody knows."""
        now = time.monotonic()
        if done != total and now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_INTERVAL_S
        self.emit(ProgressEvent(phase, done, total, unit))

    def reporter(self, phase: Phase) -> Callable[[int, int, str], None]:
        """A function that says how far *phase* is: done, total, unit."""
        return lambda done, total, unit: self.progress(phase, done, total, unit)

    def notice(self, message: str) -> None:
        """Say something that the user should know and that is no error."""
        self.emit(NoticeEvent(message))

    def error(self, error: HarnessError) -> None:
        """Say why the run ends without a result."""
        self.emit(ErrorEvent(int(error.exit_code), str(error), error.hint, error.details))

    def result(self, fields: Mapping[str, Any]) -> None:
        """Say what a command came to."""
        self.emit(ResultEvent(dict(fields)))


class Notices(logging.Handler):
    """Makes notices of what the harness's modules log: they know of no events."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        self._events.notice(record.getMessage())


def claim_stdout() -> Events:
    """Keep stdout for events: duplicate it, then point file descriptor 1 at stderr.

    C and C++ code (LoadGen, OpenCV, onnxruntime) writes to descriptor 1 past `sys.stdout`, and would corrupt the lines.
    """
    descriptor = os.dup(1)
    os.dup2(2, 1)
    # A file's name may have bytes that are no text; backslashes make them JSON's own escapes.
    return Events(os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace"))
