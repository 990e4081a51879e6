"""Progress for people, on stderr: bars on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

_PLAIN_INTERVAL_S = 10.0
_STEP_WIDTH = 100

if TYPE_CHECKING:
    from mlperf_docker.engine.protocol import BuildEvent


class Display(Protocol):
    """Where a command tells what it is doing."""

    def say(self, text: str) -> None:
        """Print one line that stays."""

    def phase(self, name: str) -> None:
        """A new phase began; the one before it is done."""

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """The current phase has come this far."""


class PlainDisplay:
    """One line per phase, and one now and then within a long one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._phase = ""
        self._spoke = self._start

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=self._stream, flush=True)  # this is the one place that prints progress

    def phase(self, name: str) -> None:
        """Print the phase with the seconds since the start."""
        self._phase, self._spoke = name, time.monotonic()
        self.say(f"[{self._spoke - self._start:6.1f} s] {name}")

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Print the count, at most every ten seconds."""
        now = time.monotonic()
        if now - self._spoke < _PLAIN_INTERVAL_S:
            return
        self._spoke = now
        self.say(f"[{now - self._start:6.1f} s] {self._phase}: {done}{f' of {total}' if total else ''} {unit}")


class LiveDisplay:
    """A bar per phase on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=Console(stderr=True), transient=False)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish(failed=error is not None)
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False)

    def phase(self, name: str) -> None:
        """Complete the last bar and begin one."""
        self._finish(failed=False)
        self._task = self._bars.add_task(name, total=None, count="")

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Move the bar."""
        if self._task is not None:
            count = f"{done}/{total} {unit}" if total else f"{done} {unit}"
            self._bars.update(self._task, completed=done, total=total, count=count)

    def _finish(self, *, failed: bool) -> None:
        if self._task is None:
            return
        if failed:
            self._bars.stop_task(self._task)
        else:
            self._bars.update(self._task, total=1, completed=1)
        self._task = None


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr."""
    if sys.stderr.isatty():
        with LiveDisplay() as live:
            yield live
    else:
        yield PlainDisplay(sys.stderr)


class BuildProgress:
    """Shows a build: a line for each step that ends, the transfers of the step that runs."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def show(self, event: "BuildEvent") -> None:
        """Show *event*; a step's output goes to the log only."""
        if event.step.startswith("[internal]"):
            return
        match event.kind:
            case "started":
                self._display.phase(_shortened(event.step))
            case "cached":
                self._display.say(f"  cached  {_shortened(event.step)}")
            case "done":
                self._display.say(f"  {event.seconds:5.1f} s {_shortened(event.step)}")
            case "failed":
                self._display.say(f"  FAILED  {_shortened(event.step)}")
            case "progress":
                self._display.progress(event.current, event.total or None, "bytes")


def _shortened(step: str) -> str:
    """One line of a step's name: `[backend 1/1] RUN …` with its blanks folded."""
    line = " ".join(step.split())
    return line if len(line) <= _STEP_WIDTH else f"{line[: _STEP_WIDTH - 1]}…"
