"""Stand-ins for what we own: our client of an engine, and our builder. No socket, no daemon."""

import base64
import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from mlperf_docker.engine.client import Engine
from mlperf_docker.engine.protocol import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.engine.trace import TRACE_ID, _status_response

Message = dict[str, Any]


def trace(**parts: Any) -> Message:
    """Return a progress message as the engine sends it: *parts* of a StatusResponse, encoded."""
    encoded: bytes = _status_response()(**parts).SerializeToString()
    return {"id": TRACE_ID, "aux": base64.b64encode(encoded).decode()}


def image_id(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def description(name: str) -> Message:
    return {"Id": image_id(name), "RepoTags": [name], "RepoDigests": [], "Config": {"Labels": {}}, "Size": 1}


def _same(one: str, other: str) -> bool:
    """Whether two references name the same; a digest makes the tag before it a comment."""
    name, _, digest = one.partition("@")
    return other in {one, f"{name.rpartition(':')[0]}@{digest}"}


class FakeEngine(Engine):
    """An engine that has the images *present*, in front of a registry that has those *offered*; it remembers its pulls.

    refusal: what the registry says of any other. messages: what a build answers; the last may be an error to raise.
    """

    def __init__(self, *present: str, offered: tuple[str, ...] = (), refusal: str = "manifest unknown") -> None:
        self.present = {name: description(name) for name in present}
        self.offered, self.refusal = offered, refusal
        self.timeout = 60
        self.pulls: list[str] = []
        self.changes: list[str] = []
        self.messages: list[Message | Exception] = []
        self.parameters: dict[str, str | list[str]] = {}
        self.about: Message = {"Version": "20.10.24", "ApiVersion": "1.41", "Os": "linux"}

    def version(self, api_version: bool = True) -> Message:  # docker-py's signature
        return self.about

    def find_image(self, reference: str) -> Message | None:
        return self.present.get(reference)

    def our_labels(self) -> list[dict[str, str]]:
        labels = (dict(each["Config"]["Labels"]) for each in self.present.values())
        return [each for each in labels if each.get("org.mlperf-docker") == "image"]

    def pull(self, repository: str, tag: str | None = None, *_: Any, **__: Any) -> Iterator[Message]:
        wanted = f"{repository}{'@' if ':' in (tag or '') else ':'}{tag}" if tag else repository
        name = next((each for each in self.offered if _same(each, wanted)), wanted)
        self.pulls.append(name)
        if name not in self.offered:
            yield {"error": self.refusal}
            return
        yield {"status": "Downloading"}
        self.present[name] = description(name)

    def import_image_from_file(
        self, filename: str, repository: str | None = None, tag: str | None = None, changes: Any = None
    ) -> str:
        self.changes = list(changes or ())
        self.present[f"{repository}:{tag}"] = description(f"{repository}:{tag}")
        return '{"status": "sha256:…"}'

    def build_with_buildkit(
        self, context: IO[bytes], parameters: dict[str, str | list[str]]
    ) -> Generator[dict[str, Any]]:
        self.parameters = parameters
        for message in self.messages:
            if isinstance(message, Exception):
                raise message
            yield message


@dataclass
class FakeBuilder:
    """A builder that builds at once and remembers what it was asked for."""

    engine: FakeEngine
    requests: list[BuildRequest] = field(default_factory=list)

    def build(self, request: BuildRequest, *, on_event: Callable[[BuildEvent], None]) -> str:
        self.requests.append(request)
        on_event(BuildEvent(BuildEventKind.DONE, "[1/1] RUN true"))
        for tag in request.tags:
            self.engine.present[tag] = description(request.tags[0])
        return image_id(request.tags[0])


@dataclass
class FakeDisplay:
    """Keeps what a command says."""

    said: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def progress(self, done: int, total: int | None, unit: str) -> None:
        pass
