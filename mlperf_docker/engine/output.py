"""Output of a container: read in a thread, and cut into lines."""

import codecs
import contextlib
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread

from mlperf_docker.engine.engine import Output
from mlperf_docker.errors import EngineError

_END: Output = (None, None)


def in_thread(output: Iterator[Output]) -> Iterator[Output]:
    """Read *output* in a thread and yield it here, so that Ctrl-C cannot end the reading, and what it would still give.

    A connection that breaks ends it like any other end; the container's events tell which one it was.
    """
    received: SimpleQueue[Output] = SimpleQueue()

    def read() -> None:
        with contextlib.suppress(OSError, EngineError):
            for chunks in output:
                received.put(chunks)
        received.put(_END)

    Thread(target=read, name="container output", daemon=True).start()
    return iter(received.get, _END)


class Lines:
    """Cuts two byte streams into lines; a multi-byte character may be cut by a chunk's end."""

    def __init__(self, on_stdout: Callable[[str], None], on_stderr: Callable[[str], None]) -> None:
        self._callbacks = (on_stdout, on_stderr)
        self._decoders = tuple(codecs.getincrementaldecoder("utf-8")(errors="replace") for _ in range(2))
        self._rests = ["", ""]

    def consume(self, output: Iterator[Output]) -> None:
        """Hand over the lines of *output* to its end, the last one also where no line end follows it."""
        for chunks in output:
            for stream, chunk in enumerate(chunks):
                if chunk:
                    self._feed(stream, chunk)
        for stream, rest in enumerate(self._rests):
            if rest:
                self._callbacks[stream](rest)
        self._rests = ["", ""]

    def _feed(self, stream: int, chunk: bytes) -> None:
        text = self._rests[stream] + self._decoders[stream].decode(chunk)
        *lines, self._rests[stream] = text.split("\n")
        for line in lines:
            self._callbacks[stream](line)
