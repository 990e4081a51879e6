"""Pace of a script: samples per second, out of its completions."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

Completion = tuple[float, int]
"""Seconds since the first query, and how many samples were completed then."""

_WINDOW = 1 / 4
"""Share of the time after the first completion over which the quickest pace is looked for."""
_LIMIT = 2.0
"""How many times the typical pace the quickest counts at most: on a busy machine a moment tells too much of a run."""
_BRIEF_S = 0.25
"""Time after the first completion below which nothing can be told of it alone."""


@dataclass(frozen=True)
class Pace:
    """Samples per second."""

    quickest: float
    """In the quickest part of the time: what the script reaches when nothing disturbs it."""
    typical: float
    """After the first completion, which has the warm-up in it."""


def read(file: Path) -> Pace | None:
    """The pace of the completions in *file*; None where there are none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return None
    return of([(seconds, samples) for seconds, samples in found])


def of(completions: Sequence[Completion]) -> Pace | None:
    """The pace of *completions*; None where there are none."""
    ordered = sorted(completions)
    if not ordered or ordered[-1][0] <= 0:
        return None
    span = ordered[-1][0] - ordered[0][0]
    if span < _BRIEF_S:
        whole = sum(samples for _, samples in ordered) / ordered[-1][0]
        return Pace(whole, whole)
    typical = sum(samples for _, samples in ordered[1:]) / span
    return Pace(min(max(typical, _quickest(ordered, span * _WINDOW)), _LIMIT * typical), typical)


def _quickest(ordered: Sequence[Completion], window_s: float) -> float:
    """Most samples per second from one completion to another, at least *window_s* later."""
    times, done = [seconds for seconds, _ in ordered], list(accumulate(samples for _, samples in ordered))
    ends = ((first, bisect_left(times, times[first] + window_s)) for first in range(len(times)))
    return max((done[last] - done[first]) / (times[last] - times[first]) for first, last in ends if last < len(times))
