"""SIGTERM and SIGHUP handled as Ctrl-C, which cleans up, and blocks of code that no signal interrupts."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE_S = 10.0


class _Heard:  # no dataclass: what is imported here keeps the first signal waiting
    """Signals so far. at: the last one that became KeyboardInterrupt, by time.monotonic(), or None."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.deferred = 0
        self.waiting = False


_heard = _Heard()


def heed() -> None:
    """Make every signal that ends a command a KeyboardInterrupt. One that is ignored already stays so, as nohup wants.

    More of them within 10 s change nothing, so that what is cleared up after the first is done.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)


def ignore() -> None:
    """Ignore signals from now on: the command has finished, and its exit code stays while Python shuts down."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def was_told() -> bool:
    """Tell whether a signal came: whatever goes wrong from then on may be a consequence."""
    return _heard.at is not None


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Have a signal wait for the end of this block: for short steps that leave something behind when they break off."""
    _heard.deferred += 1
    try:
        yield
    finally:
        _heard.deferred -= 1
        if _heard.waiting and not _heard.deferred:
            _heard.waiting = False
            raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    if _heard.at is not None and now < _heard.at + _PATIENCE_S:
        return
    _heard.at = now
    if _heard.deferred:
        _heard.waiting = True
    else:
        raise KeyboardInterrupt
