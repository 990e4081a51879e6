"""Execution of a plan: container run, events followed, its end turned into a reply or an error."""

import dataclasses
import re
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

from mlperf_docker.contract import events, places
from mlperf_docker.display.progress import Display
from mlperf_docker.engine.container import ContainerExit
from mlperf_docker.engine.plan import RunPlan
from mlperf_docker.errors import (
    ContainerError,
    DatasetError,
    DeviceError,
    Interrupted,
    MlperfDockerError,
    ModelFileError,
    UsageError,
)
from mlperf_docker.runtimes.runtime import ContainerRunner

_TAIL_LINES = 12
Watch = Callable[[events.Event], None]
_SIGKILL_EXIT = 128 + signal.SIGKILL
_HARNESS_ERRORS: dict[int, type[MlperfDockerError]] = {
    error.exit_code: error for error in (UsageError, DatasetError, ModelFileError, DeviceError, ContainerError)
}


def execute(
    runtime: ContainerRunner, plan: RunPlan, log_path: Path, display: Display, watch: Watch | None = None
) -> dict[str, Any]:
    """Run *plan*, keep its whole output in *log_path*, and return the result that the harness came to.

    watch: told of every event of the harness.
    Raises the harness's own error where it named one, ContainerError where it died without a word, Interrupted on
    Ctrl-C.
    """
    with _Log(log_path, display) as log:
        debugging = (places.DEBUG_VARIABLE, "1") in plan.environment
        harness = _Harness(log, display, debugging, watch or (lambda _: None))
        try:
            ending = runtime.run(plan, on_stdout=harness.stdout, on_stderr=harness.stderr)
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted.", log=log_path) from error
    if harness.result is None:
        raise _failure(harness, ending, plan, log_path)
    return harness.result.fields


class _Log:
    """The container's whole output. A disk that is full costs its rest, not the run: this is said, once."""

    def __init__(self, path: Path, display: Display) -> None:
        self._path, self._display = path, display
        self._file: BinaryIO | None = path.open("wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, line: str) -> None:
        """Append *line*."""
        if self._file is None:
            return
        try:
            self._file.write(f"{line}\n".encode(errors="backslashreplace"))
        except OSError as error:
            self._file.close()
            self._file = None
            self._display.say(f"The log {self._path} ends here: {(error.strerror or str(error)).lower()}.")


@dataclasses.dataclass
class _Harness:
    """Listens to the container: keeps every line, shows what is for people, remembers how it ended."""

    log: _Log
    display: Display
    debugging: bool
    """Whether everything that is no event is shown too: what libraries print, and tracebacks."""
    watch: Watch
    result: events.ResultEvent | None = None
    failure: events.ErrorEvent | None = None
    tail: deque[str] = dataclasses.field(default_factory=lambda: deque(maxlen=_TAIL_LINES))

    def stdout(self, line: str) -> None:
        event = events.parse(line)
        if event is None:
            self.stderr(line)
            return
        self.log.keep(line)
        self.watch(event)
        match event:
            case events.PhaseEvent():
                self.display.phase(event.name)
            case events.ProgressEvent():
                self.display.progress(event.done, event.total, event.unit)
            case events.NoticeEvent():
                self.display.say(event.message)
            case events.ErrorEvent():
                self.failure = event
            case events.ResultEvent():
                self.result = event

    def stderr(self, line: str) -> None:
        self.log.keep(line)
        self.tail.append(line)
        if self.debugging:
            self.display.say(line)


def _failure(harness: _Harness, ending: ContainerExit, plan: RunPlan, log: Path) -> MlperfDockerError:
    """Say why there is no result, the most certain reason first."""
    if ending.out_of_memory:
        return _out_of_memory(plan, log)
    if harness.failure is not None:
        return _harness_error(harness.failure, plan, log)
    if ending.signal is not None or ending.code == _SIGKILL_EXIT:
        return _killed(ending, plan, log)
    last = "\n".join(harness.tail) or "(it printed nothing)"
    return ContainerError(f"The container died with exit code {ending.code}. Its last lines:\n{last}", log=log)


def _killed(ending: ContainerExit, plan: RunPlan, log: Path) -> ContainerError:
    """Say what is known of a kill: Podman tells neither of a signal nor of memory that ran out."""
    message = f"The container was killed from outside (signal {ending.signal or int(signal.SIGKILL)})"
    if ending.signal is None:
        message += f", or {_memory(plan)} was reached (OOM): the engine does not tell which"
    return ContainerError(
        f"{message}.", hint="Run the same command again; preprocessing goes on where it stopped.", log=log
    )


def _memory(plan: RunPlan) -> str:
    return f"the limit of {plan.limits.memory}" if plan.limits.memory else "the host's memory"


def _out_of_memory(plan: RunPlan, log: Path) -> ContainerError:
    if plan.arguments[:1] == ("run",):
        hint = "Give it more with --memory, or use less with --batch-size or --samples."
    else:
        hint = "End what else needs memory on this host, and try again."
    message = f"The container ran out of memory: {_memory(plan)} was reached and the kernel killed it (OOM)."
    return ContainerError(message, hint=hint, log=log)


def _harness_error(failure: events.ErrorEvent, plan: RunPlan, log: Path) -> MlperfDockerError:
    kind = _HARNESS_ERRORS.get(failure.exit_code, ContainerError)
    if failure.exit_code == Interrupted.exit_code:
        kind = Interrupted
    message, hint = (
        "\n  ".join(on_host(text, plan) for text in texts if text)
        for texts in ((failure.message, *failure.details), (failure.hint,))
    )
    return kind(message, hint=hint or None, log=log)


def on_host(text: str, plan: RunPlan) -> str:
    """Return *text* with the container's folders by the names that they have on the host, where the user knows them."""
    hosts = {mount.container: str(mount.shown or mount.host) for mount in plan.mounts}
    folders = "|".join(map(re.escape, hosts))
    return re.sub(rf"(?<![\w./-])({folders})(?![\w-])", lambda found: hosts[found[1]], text) if hosts else text
