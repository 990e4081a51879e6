"""An engine that goes away: a socket before the real one's, which hands on so many requests and is closed then."""

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread

_REQUEST = re.compile(rb"^(?:GET|POST|DELETE|HEAD|PUT) (\S+) HTTP/1\.1\r\n", re.MULTILINE)
_CHUNK_BYTES = 1 << 16


@dataclass
class Proxy:
    """path: its socket; limit: requests that are handed on, None for all; seen: what was asked for, by its path."""

    path: Path
    real: str
    limit: int | None = None
    seen: list[str] = field(default_factory=list)
    _ends: list[socket.socket] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def host(self) -> str:
        """What DOCKER_HOST takes."""
        return f"unix://{self.path}"

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the engine goes away."""
        self._ends.append(listener)
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self.real)
                with self._lock:
                    self._ends += [client, engine]
                Thread(target=self._requests, args=(client, engine), daemon=True).start()
                Thread(target=self._hand_on, args=(engine, client), daemon=True).start()

    def go(self) -> None:
        """Be gone: every connection breaks off, and there is no socket any more."""
        self.path.unlink(missing_ok=True)
        with self._lock:
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _requests(self, client: socket.socket, engine: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK_BYTES):
                for found in _REQUEST.finditer(data):
                    if self.limit is not None and len(self.seen) >= self.limit:
                        self.go()
                        return
                    self.seen.append(found[1].decode())
                engine.sendall(data)
            engine.shutdown(socket.SHUT_WR)

    @staticmethod
    def _hand_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def before_the_engine(path: Path, real: str, limit: int | None = None) -> Iterator[Proxy]:
    """Stand before the engine at the socket *real*, with one at *path*, and go away after *limit* requests."""
    proxy = Proxy(path, real, limit)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.go()
