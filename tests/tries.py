"""Verdicts on time, which also depend on what else the machine does at that moment."""

from collections.abc import Callable
from typing import TypeVar

_Done = TypeVar("_Done")


def in_time(run: Callable[[], _Done], verdict: Callable[[_Done], bool], tries: int = 3) -> _Done:
    """Return the first of *tries* whose *verdict* is true, else the last: a machine may be busy once, code that is too
    slow always is. For nothing but verdicts on time: an answer that is wrong now and then is wrong."""
    done = run()
    for _ in range(tries - 1):
        if verdict(done):
            break
        done = run()
    return done
