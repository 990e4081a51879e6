"""Progress for people, on stderr: bars on a terminal, plain lines in a log."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from mlperf_docker.display import printable, streams
from mlperf_docker.display.sizes import readable
from mlperf_docker.system.redaction import hidden

_PLAIN_INTERVAL_S = 10.0
BYTES = "bytes"

if TYPE_CHECKING:
    from rich.progress import Task, TaskID


class Display(Protocol):
    """Display of a command's progress."""

    def say(self, text: str) -> None:
        """Print one line that stays."""

    def phase(self, name: str) -> None:
        """A new phase began; the one before it is done."""

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """The current phase has come this far."""

    def part(self, name: str, done: int, total: int | None) -> None:
        """One of several things that move at once has come this far, in bytes; *name* tells them apart."""

    def part_over(self, name: str) -> None:
        """That thing moves no more."""


class PlainDisplay:
    """Display in plain lines: one per phase, and one every ten seconds within a long phase."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._start = clock()
        self._phase = ""
        self._spoke = self._start

    def say(self, text: str) -> None:
        """Print one line."""
        print(
            printable.lines(hidden(text)), file=self._stream, flush=True
        )  # this is the one place that prints progress

    def phase(self, name: str) -> None:
        """Print the phase with the seconds since the start."""
        self._phase, self._spoke = name, self._clock()
        self.say(f"[{self._spoke - self._start:6.1f} s] {name}")

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Print the count, at most every ten seconds."""
        self._sometimes(f"{self._phase}: {_count(done, total, unit, ' of ')}")

    def part(self, name: str, done: int, total: int | None) -> None:
        """Print how far this one is, at most every ten seconds for all of them."""
        self._sometimes(f"{name}: {_count(done, total, BYTES, ' of ')}")

    def part_over(self, name: str) -> None:
        """Say nothing."""

    def _sometimes(self, text: str) -> None:
        now = self._clock()
        if now - self._spoke >= _PLAIN_INTERVAL_S:
            self._spoke = now
            self.say(f"[{now - self._start:6.1f} s] {text}")


class LiveDisplay:
    """A moving line for the current phase on a terminal; each phase that is done leaves a plain line."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        name = TextColumn("{task.description}", markup=False)  # a build's steps are called "[backend 1/1] …"
        count = TextColumn("{task.fields[count]}", markup=False)
        console = Console(file=streams.unescaped(sys.stderr))
        spinner = SpinnerColumn("line" if console.options.ascii_only else "dots")
        columns = (spinner, name, BarColumn(bar_width=20), count, TimeElapsedColumn())
        self._bars = Progress(*columns, console=console, transient=True)
        self._task: Task | None = None
        self._parts: dict[str, TaskID] = {}
        self._lock = threading.Lock()  # parts come from several threads

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish("failed" if error is not None else "")
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print one line above the moving one."""
        self._bars.console.print(
            printable.lines(hidden(text)), markup=False, emoji=False, highlight=False, soft_wrap=True
        )

    def phase(self, name: str) -> None:
        """End the phase before, and begin this one."""
        self._finish("")
        self._bars.add_task(printable.one_line(hidden(name)), total=None, count="")
        self._task = self._bars.tasks[-1]

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """Move the bar."""
        if self._task is not None:
            count = _count(done, total, unit, "/")
            self._bars.update(self._task.id, completed=done, total=total, count=count)

    def part(self, name: str, done: int, total: int | None) -> None:
        """Move the bar of *name*, a new one at first."""
        with self._lock:
            if name not in self._parts:
                self._parts[name] = self._bars.add_task(printable.one_line(hidden(name)), total=None, count="")
        self._bars.update(self._parts[name], completed=done, total=total, count=_count(done, total, BYTES, "/"))

    def part_over(self, name: str) -> None:
        """Take its bar away."""
        with self._lock:
            if name in self._parts:
                self._bars.remove_task(self._parts.pop(name))

    def _finish(self, verdict: str) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        self._bars.remove_task(task.id)
        parts = (f"{task.elapsed or 0:7.1f} s", task.description, str(task.fields["count"]), verdict)
        self.say("  ".join(part for part in parts if part))


def _count(done: int, total: int | None, unit: str, between: str) -> str:
    """Return how far something is; bytes in larger units, which nobody reads otherwise."""
    if unit == BYTES:
        return f"{readable(done)}{between}{readable(total)}" if total else readable(done)
    return f"{done}{between}{total} {unit}" if total else f"{done} {unit}"


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr."""
    if sys.stderr.isatty():
        with LiveDisplay() as live:
            yield live
    else:
        yield PlainDisplay(sys.stderr)
