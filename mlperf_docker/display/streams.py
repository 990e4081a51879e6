"""stdout and stderr that never fail: closed, full, without a reader, in any encoding, or a terminal.

Writing to them never fails, so that a command comes to its own end and exit code. What went wrong is told at the end.
"""

import codecs
import contextlib
import errno
import io
import os
import re
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from mlperf_docker.display import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_REPLACE = "mlperf_docker.replace"
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
_ASCII = "ascii"
_USUAL_COLUMNS = 80
_KEPT: list[TextIO] = []  # a stream that nobody refers to closes its buffer


class Output(io.TextIOWrapper):
    """A stream of text.

    escaped: True if control characters are escaped and secrets are left out, as in text for people.
    """

    failure: OSError | None = None
    """Error of the first write that failed; from then on everything is dropped."""

    def __init__(self, stream: io.TextIOWrapper, *, escaped: bool) -> None:
        self._ascii = codecs.lookup(stream.encoding).name == _ASCII
        super().__init__(
            stream.buffer,
            # Click writes UTF-8 past a stream that says it is ASCII; write() sees to it that ASCII it is.
            encoding="utf-8" if self._ascii else stream.encoding,
            errors=_REPLACE,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self._escaped = escaped

    def write(self, text: str, /) -> int:
        """Write *text*, with replacements for what the encoding has not. Returns its length, also of what is lost."""
        shown = printable.lines(_without_secrets(text)) if self._escaped else text
        self._attempt(lambda: super(Output, self).write(_BEYOND_ASCII.sub("?", shown) if self._ascii else shown))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._attempt(super().flush)

    def close(self) -> None:
        """Only flush: the descriptor is the process's, and other streams write to it too."""
        self.flush()

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            action()
        except OSError as error:
            self.failure = error
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  # what is buffered still has to go somewhere
                os.dup2(nowhere.fileno(), self.fileno())


def prepare() -> None:
    """Make stdout and stderr streams that never fail; those that are closed lead nowhere."""
    codecs.register_error(_REPLACE, _replaced)
    _fill_closed()
    sys.stdout = _output(sys.stdout, 1, escaped=sys.stdout is not None and sys.stdout.isatty())
    sys.stderr = _output(sys.stderr, 2, escaped=True)


def unescaped(stream: TextIO) -> TextIO:
    """Return *stream* for what writes escape sequences of its own; whoever uses it sees to foreign text."""
    return Output(stream, escaped=False) if isinstance(stream, Output) else stream


def columns() -> int | None:
    """Return how wide the terminal is that stdout leads to; None where it leads elsewhere."""
    if not sys.stdout.isatty():
        return None
    with contextlib.suppress(OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL_COLUMNS
    return _USUAL_COLUMNS


def out(text: object) -> None:
    """Print *text* on stdout: what was asked for."""
    print(text, flush=True)  # noqa: T201  # this is the one place that prints results


def err(text: object) -> None:
    """Print *text* on stderr: what people should know besides."""
    print(_without_secrets(str(text)), file=sys.stderr, flush=True)  # noqa: T201


def _without_secrets(text: str) -> str:
    from mlperf_docker.system.redaction import hidden  # which `--help` need not wait for

    return hidden(text)


def finish(code: int) -> int:
    """Tell what kept stdout from being written, and return the exit code: *code*, unless that was the only fault.

    A reader that has gone (`… | head`) has what it wanted.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failure = getattr(sys.stdout, "failure", None)
    if failure is None or failure.errno == errno.EPIPE:
        return code
    err(f"Error: stdout cannot be written: {os.strerror(failure.errno).lower()}.")
    return code or 2


def _fill_closed() -> None:
    """Open what is closed of the first three descriptors, so that no file of ours gets the number of a stream."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # noqa: FBT003  # its only parameter besides
    os.close(descriptor)


class _Patient(io.RawIOBase):
    """A descriptor that another program set not to block, as some CI runners do: writing waits all the same."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: "ReadableBuffer", /) -> int:
        while True:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:
                select.select([], [self._descriptor], [])


def _output(stream: TextIO | None, descriptor: int, *, escaped: bool) -> TextIO:
    if stream is None:
        stream = io.TextIOWrapper(os.fdopen(descriptor, "wb", closefd=False), encoding="utf-8", line_buffering=True)
        _KEPT.append(stream)
    elif isinstance(stream, io.TextIOWrapper) and not os.get_blocking(descriptor):
        buffer = io.BufferedWriter(_Patient(descriptor))
        stream = io.TextIOWrapper(buffer, encoding=stream.encoding, line_buffering=stream.line_buffering)
        _KEPT.append(stream)
    return Output(stream, escaped=escaped) if isinstance(stream, io.TextIOWrapper) else stream


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return a question mark for a character that an encoding has not, and for a byte of a file name that byte."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    code = ord(error.object[error.start])
    return bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else "?", error.start + 1
