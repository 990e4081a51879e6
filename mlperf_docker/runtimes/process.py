"""Command that is a container: run to its end, its output handed over in lines, its stdin open while this tool lives.

The harness ends when its stdin does, so a tool that is killed leaves none behind.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import IO

from mlperf_docker.engine.container import ContainerExit
from mlperf_docker.engine.engine import Output
from mlperf_docker.engine.output import Lines, in_thread
from mlperf_docker.errors import EngineError
from mlperf_docker.system import signals

_STOP_TIMEOUT_S = 10
_TIMEOUT_S = 60
_CHUNK_BYTES = 2**16
_KILLED = 128 + signal.SIGKILL
_VMSTAT = Path("/proc/vmstat")


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    on_stdout: Callable[[str], None],
    on_stderr: Callable[[str], None],
) -> ContainerExit:
    """Run *argv* to its end. environment: variables beside this process's own.

    On Ctrl-C it is asked to stop, has 10 s for that, and its last lines are handed over before KeyboardInterrupt goes
    on. Raises EngineError where it cannot be started.
    """
    before = _oom_kills()
    with signals.deferred():
        process = _start(argv, environment)
    lines = Lines(on_stdout, on_stderr)
    try:
        output = in_thread(_chunks(process))
        try:
            lines.consume(output)
        except KeyboardInterrupt:
            with _stopped(process):
                lines.consume(output)
            raise
        return _ending(process.wait(), before)
    finally:
        _end(process)


def ask(argv: Sequence[str], *, given: Iterator[bytes] | None = None, timeout_s: float = _TIMEOUT_S) -> str:
    """Return what *argv* prints, on stderr where it is nothing on stdout. Raises EngineError, with its last line.

    given: its stdin, and then it may take as long as that.
    """
    try:
        process = subprocess.Popen(
            argv,
            env=_environment(),
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise not_started(argv[0], error) from error
    with process:
        try:
            if given is not None and process.stdin is not None:
                _feed(process.stdin, given)
            out, err = process.communicate(timeout=None if given is not None else timeout_s)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{argv[0]} {argv[1]} did not answer within {timeout_s:g} s.") from error
        finally:
            process.kill()
    if process.returncode:
        raise EngineError(f"{argv[0]} {argv[1]} failed: {_last_line(err)}", hint="See: mlperf-docker doctor")
    return (out or err).decode(errors="replace")


def not_started(program: str, error: OSError) -> EngineError:
    """The error for a program that is not there, or not to be run."""
    if isinstance(error, FileNotFoundError):
        return EngineError(f"{program} is not installed.", hint="Install it, or choose another one: --runtime")
    return EngineError(f"{program} cannot be run: {(error.strerror or str(error)).lower()}.")


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start it in a session of its own: Ctrl-C on the terminal is this tool's, which tells the container."""
    try:
        return subprocess.Popen(
            argv,
            env={**_environment(), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise not_started(argv[0], error) from error


def _environment() -> dict[str, str]:
    """Return this process's variables, with USER, which ch-run insists on and jobs may lack."""
    return {"USER": str(os.getuid()), **os.environ}


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[Output]:
    """Yield what the process prints until both of its streams have ended."""
    with selectors.DefaultSelector() as ready:
        for number, stream in enumerate((process.stdout, process.stderr)):
            if stream is not None:
                ready.register(stream, selectors.EVENT_READ, number)
        while ready.get_map():
            for key, _ in ready.select():
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    ready.unregister(key.fileobj)
                elif key.data == 0:
                    yield chunk, None
                else:
                    yield None, chunk


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ask the process to end, and kill it where the block takes longer than it may."""
    process.terminate()
    timer = Timer(_STOP_TIMEOUT_S, _kill_all, (process,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of it, and close its streams."""
    with signals.deferred():
        if process.poll() is None:
            _kill_all(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        process.wait(timeout=_TIMEOUT_S)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int, oom_kills: int | None) -> ContainerExit:
    """Return the end that *code* is: negative, or 128 more than it, for a signal. oom_kills: those before the start.

    A kill while the kernel killed for want of memory was one of these: nothing else tells without a daemon.
    """
    number = -code if code < 0 else code - 128 if code == _KILLED else None
    after = _oom_kills()
    out_of_memory = number == signal.SIGKILL and None not in (oom_kills, after) and after != oom_kills
    return ContainerExit(128 + number if number else code, out_of_memory, None if out_of_memory else number)


def _oom_kills() -> int | None:
    """Return how many processes this kernel killed for want of memory, None where it does not tell."""
    try:
        found = re.search(r"^oom_kill (\d+)$", _VMSTAT.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _feed(stdin: IO[bytes], given: Iterator[bytes]) -> None:
    """Write *given*; a process that ends before its input does says why by its exit code."""
    with contextlib.suppress(BrokenPipeError):
        for chunk in given:
            stdin.write(chunk)


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
