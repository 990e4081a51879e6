"""Queries cut into batches."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Batch:
    """A part of the Offline query, from *start* to before *stop*."""

    start: int
    stop: int
    first: int | None
    """Row of the first sample, if the rows are neighbours; else None."""


def cut(rows: NDArray[np.int64], size: int) -> list[Batch]:
    """Cut a query into batches of *size*, the last one shorter, and tell which lie in neighbouring rows."""
    starts = np.arange(0, len(rows), size)
    stops = np.minimum(starts + size, len(rows))
    jumps = np.concatenate(([0], np.cumsum(np.diff(rows) != 1)))
    straight = jumps[stops - 1] == jumps[starts]
    firsts = rows[starts]
    whole = zip(starts.tolist(), stops.tolist(), firsts.tolist(), straight.tolist(), strict=True)
    return [Batch(start, stop, first if neighbours else None) for start, stop, first, neighbours in whole]


@dataclass(frozen=True, slots=True)
class Query:
    """The Offline query in the order in which it is answered."""

    ids: list[int]
    indices: list[int]
    rows: NDArray[np.int64]
    """Rows of its samples."""
    batches: deque[Batch]
    """Batches that no instance has taken yet; instances take from it side by side."""
    neighbours: bool
    """True if all batches are runs of neighbouring rows. Set before any instance starts: iterating over a deque while
    others take from it raises RuntimeError."""


def drain(batches: deque[Batch]) -> Iterator[Batch]:
    """Take batches from the front until none is left; several threads may do so (popleft is atomic)."""
    while True:
        try:
            batch = batches.popleft()
        except IndexError:
            return
        yield batch
