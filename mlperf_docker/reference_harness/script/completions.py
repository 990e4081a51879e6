"""Completions of samples, noted within the process of a script: a short run, which ends when they suffice.

LoadGen's detail log has none of them, and its trace is the script's to switch on. A run that counts is never watched.
"""

import atexit
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

SETTLED_S = 3.0
"""Seconds after the first completion for which a script is watched: the first one has the warm-up in it."""
PATIENCE_S = 15.0
"""Seconds after the first query at which two completions suffice, of a script that is slow."""


@dataclass(frozen=True)
class Watched:
    """Order to watch a script."""

    file: str
    """Where the completions are written, as JSON: `[[seconds since the first query, samples], …]`."""
    alone_s: float
    """Seconds after which one completion suffices: it is as long as the run that counts."""

    def to_json(self) -> str:
        """The text for the variable of the environment."""
        return json.dumps(vars(self))


@dataclass
class _Completions:
    order: Watched
    issued: float | None = None
    noted: list[tuple[float, int]] = field(default_factory=list)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def note(self, samples: int) -> None:
        """Note that *samples* were completed, and end the process where that suffices."""
        elapsed = perf_counter() - (self.issued or 0.0)
        self.noted.append((elapsed, samples))
        if suffices(self.noted, elapsed, self.order.alone_s):
            self.write()
            sys.stdout.flush()
            os._exit(0)

    def write(self) -> None:
        """Write what was noted; of several threads the first one does."""
        if self.writing.acquire(blocking=False):
            Path(self.order.file).write_text(json.dumps(self.noted), encoding="utf-8")


def suffices(noted: list[tuple[float, int]], elapsed: float, alone_s: float) -> bool:
    """Whether what was *noted* tells how quick the script is, *elapsed* seconds after its first query."""
    settled = elapsed - noted[0][0] >= SETTLED_S
    return settled or (elapsed >= PATIENCE_S and (len(noted) > 1 or elapsed >= alone_s))


def watch(order: str) -> None:
    """Wrap LoadGen's calls to note completions as *order* says, the text of a Watched; empty for none."""
    if order:
        _wrap(_Completions(Watched(**json.loads(order))))


def _wrap(found: _Completions) -> None:
    import mlperf_loadgen as lg

    complete = lg.QuerySamplesComplete

    def noting(responses: Iterable[object], *others: object) -> None:
        held = list(responses)
        complete(held, *others)
        found.note(len(held))

    lg.QuerySamplesComplete = noting
    for name in ("ConstructSUT", "ConstructFastSUT"):
        setattr(lg, name, _timed(found, getattr(lg, name)))
    atexit.register(found.write)


def _timed(found: _Completions, construct: Callable[..., int]) -> Callable[..., int]:
    """*construct* for a SUT whose first query is noted."""

    def constructing(issue: Callable[..., object], *others: object) -> int:
        def issuing(*samples: object) -> None:
            if found.issued is None:
                found.issued = perf_counter()
            issue(*samples)

        return construct(issuing, *others)

    return constructing
