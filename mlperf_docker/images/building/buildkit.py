"""Builds with BuildKit through the engine's API; no docker command and no plugin is needed."""

import io
import json
import re
import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from mlperf_docker.engine.engine import Engine, EngineLostError, EngineRefusedError, Message
from mlperf_docker.engine.facts import require_buildkit
from mlperf_docker.errors import BaseImageError, BuildError
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.trace import TRACE_ID, Trace
from mlperf_docker.recipe.context import write_context
from mlperf_docker.system import folders, paths
from mlperf_docker.system.redaction import hidden

_IMAGE_ID = "moby.image.id"
_INLINE_CACHE = "BUILDKIT_INLINE_CACHE"  # BuildKit notes in the image which step each layer came from
_TAIL_LINES = 20
_SPOOL_BYTES = 32 * 2**20
_ENGINE_STOPPED = (
    "The engine stopped, or was restarted, while it built.",
    "See what it says: mlperf-docker doctor; then run the same command again.",
)
# The words by which pip, apt-get or the engine tell a fault → what it probably means, and what helps; the first that
# fits. A step may print single words as "connection" for any other reason.
_CAUSES = {
    re.compile("no space left on device", re.IGNORECASE): (
        "The engine's disk is full.",
        "Free some: docker system df, then docker builder prune or docker image prune; see mlperf-docker doctor.",
    ),
    re.compile("certificate verify failed|certificate verification failed", re.IGNORECASE): (
        "The package index's certificate is not trusted inside the build.",
        "Point PIP_CERT (or SSL_CERT_FILE) at your CA bundle; the build takes it over.",
    ),
    re.compile("do not match the hashes", re.IGNORECASE): (
        "A package is not the one that was locked: a mirror changed it, or a download broke.",
        "Try again; if it stays, compare your index with locks/, or make new locks: mlperf-docker lock",
    ),
    re.compile("temporary failure (in name resolution|resolving)", re.IGNORECASE): (
        "The build has no name resolution.",
        "Check the engine's DNS, or set HTTPS_PROXY and PIP_INDEX_URL; the build takes them over.",
    ),
    re.compile(
        r"after connection broken by|failed to establish a new connection|read timed out"  # pip's
        r"|(could not|unable to) connect to|cannot initiate the connection|failed to fetch .*connection",  # apt-get's
        re.IGNORECASE,
    ): (
        "A package server could not be reached from inside the build.",
        "Set HTTPS_PROXY or PIP_INDEX_URL as pip needs them on this host, or PIP_FIND_LINKS to a folder of wheels.",
    ),
    re.compile("no matching distribution", re.IGNORECASE): (
        "The package index does not offer a locked version, or not for the Python of the base.",
        "Check PIP_INDEX_URL, and a base of your own against the first line of the lock; or run mlperf-docker lock",
    ),
}
_UNKNOWN_CAUSE = ("", "The full log says more.")
# What a step printed that cannot run on this base → what it means, and what helps.
UNSUITABLE_BASES = {
    re.compile(r"This base has Python [0-9.]+, and"): (
        "",
        "Name a base with one of these to --base, or leave --base away.",
    ),
    re.compile(r"apt-get: (command )?not found|exec: \"?/bin/sh\"?: .*no such file or directory"): (
        "it has no apt-get or no shell, so it is none of Debian or Ubuntu.",
        "Name one of theirs to --base, or leave --base away.",
    ),
}


class BuildKitBuilder:
    """Builds through `POST /build?version=2`, with an ordinary tar as body, and no session."""

    def __init__(self, client: Engine) -> None:
        self._client = client

    def build(self, request: BuildRequest, *, on_event: Callable[[BuildEvent], None]) -> str:
        """Return the image's id. Interrupting this cancels the build in the engine; nothing is tagged then."""
        require_buildkit(self._client)
        return follow(self._client, request, _BuildKitListener(on_event), {"version": "2"})


def follow(client: Engine, request: BuildRequest, listener: "BuildListener", builder: Mapping[str, str]) -> str:
    """Build *request*, keep all output in a log, and return the image's id. Raises BuildError.

    builder: the parameters of `POST /build` that choose the builder.
    """
    log_path = paths.new_log("build", request.tags[0].rpartition("/")[2].replace(":", "-"))
    with (
        folders.naming(log_path),
        log_path.open("w", encoding="utf-8", errors="backslashreplace") as log,
        tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as context,
    ):
        with folders.naming(Path(tempfile.gettempdir(), "build-context")):
            write_context(request.inputs, request.host, context)
        context.seek(0)
        listener.log = log
        try:
            with closing(client.build(context, {**builder, **_parameters(request)})) as messages:
                for message in messages:
                    listener.hear(message)
        except EngineRefusedError as error:
            listener.error = hidden(error.reason)
        except EngineLostError as error:
            if not error.answering:
                raise
            listener.error, listener.engine_stopped = (
                hidden(f"the connection to the engine broke: {error.reason}"),
                True,
            )
    if listener.image is None:
        raise _unsuitable_base(request, listener, log_path) or _failure(request, listener, log_path)
    return listener.image


def _parameters(request: BuildRequest) -> dict[str, str | list[str]]:
    base = {"BASE": request.base_reference, "BASE_IDENTITY": request.base_identity or request.base_reference}
    arguments = {**base, **dict(request.host.build_args)}
    if request.cache_from:
        arguments[_INLINE_CACHE] = "1"
    parameters: dict[str, str | list[str]] = {
        "t": list(request.tags),
        "buildargs": json.dumps(arguments),
        "labels": json.dumps(request.labels),
    }
    if request.cache_from:
        parameters["cachefrom"] = json.dumps([request.cache_from])
    if request.no_cache:
        parameters["nocache"] = "1"
    if request.host.needs_host_network:
        parameters["networkmode"] = "host"
    return parameters


@dataclass
class BuildListener(ABC):
    """Listener to one build: writes the log, hands events on, and remembers how it ended."""

    on_event: Callable[[BuildEvent], None]
    log: TextIO = field(default_factory=io.StringIO)
    image: str | None = None
    """The id of the image that was built."""
    error: str = ""
    engine_stopped: bool = False
    """Whether the connection to the engine broke."""
    failed_step: str = ""
    tails: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=_TAIL_LINES)))
    """Step → its last lines."""

    @abstractmethod
    def hear(self, message: Message) -> None:
        """Take one of the engine's messages."""

    def event(self, event: BuildEvent) -> None:
        """Keep *event*, and hand it on, without what is secret in it."""
        event = replace(event, step=hidden(event.step), text=hidden(event.text))
        for line in _log_lines(event):
            self.log.write(f"{line}\n")
        self.log.flush()
        if event.kind is BuildEventKind.LOG:
            self.tails[event.step].append(event.text)
        elif event.kind is BuildEventKind.FAILED and "canceled" not in event.text:
            self.failed_step = event.step
        self.on_event(event)


@dataclass
class _BuildKitListener(BuildListener):
    """Understands BuildKit's traces."""

    trace: Trace = field(default_factory=Trace)

    def hear(self, message: Message) -> None:
        """Take one of the engine's messages."""
        if message.get("id") == TRACE_ID:
            for event in self.trace.feed(str(message["aux"])):
                self.event(event)
        elif message.get("id") == _IMAGE_ID:
            aux = message["aux"]
            self.image = str(aux["ID"]) if isinstance(aux, dict) else None
        elif "error" in message:
            self.error = hidden(str(message["error"]))


def _log_lines(event: BuildEvent) -> Iterator[str]:
    match event.kind:
        case BuildEventKind.LOG:
            yield event.text
        case BuildEventKind.DONE:
            yield f"== done in {event.seconds:.1f} s: {event.step}"
        case BuildEventKind.FAILED:
            yield f"== FAILED: {event.step}: {event.text}"
        case BuildEventKind.STARTED | BuildEventKind.CACHED:
            yield f"== {event.kind}: {event.step}"
        case BuildEventKind.PROGRESS:
            return


def _unsuitable_base(request: BuildRequest, listener: BuildListener, log: Path) -> BaseImageError | None:
    """Return the error where the failing step's own output tells that the base cannot carry the image."""
    for line in listener.tails[listener.failed_step]:
        for sign, (cause, hint) in UNSUITABLE_BASES.items():
            if sign.search(line):
                said = cause or line.strip()
                return BaseImageError(f"{request.base_reference} cannot be the base: {said}", hint=hint, log=log)
    return None


def _failure(request: BuildRequest, listener: BuildListener, log: Path) -> BuildError:
    """Say which step failed, its last lines, the likely cause, and where the whole log is."""
    output = "\n".join(f"  {line}" for line in listener.tails[listener.failed_step])
    cause, hint = _ENGINE_STOPPED if listener.engine_stopped else _likely_cause(f"{output}\n{listener.error}")
    step = f" in the step {listener.failed_step!r}" if listener.failed_step else ""
    parts = (
        f"Building {request.tags[0]} failed{step}: {listener.error or 'the engine ended without an image'}",
        output,
        cause,
    )
    return BuildError("\n".join(part for part in parts if part), hint=hint, log=log)


def _likely_cause(said: str) -> tuple[str, str]:
    """Return what the fault probably means, and what helps."""
    return next((words for sign, words in _CAUSES.items() if sign.search(said)), _UNKNOWN_CAUSE)
