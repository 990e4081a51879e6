"""An engine, a registry, a builder and a display for tests, each a class of its own. No socket, no daemon."""

import base64
import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mlperf_docker.engine.engine import EngineRefusedError, Message, NotOnEngineError, Output
from mlperf_docker.images.building.builder import BuildEvent, BuildEventKind, BuildRequest
from mlperf_docker.images.building.trace import TRACE_ID, status_response
from mlperf_docker.names import LABEL
from mlperf_docker.registry.references import host_of, parted
from mlperf_docker.registry.refusals import refused
from mlperf_docker.registry.remote import Registries, Remote


def trace(**parts: Any) -> Message:
    """Return a progress message as the engine sends it: *parts* of a StatusResponse, encoded."""
    encoded: bytes = status_response()(**parts).SerializeToString()
    return {"id": TRACE_ID, "aux": base64.b64encode(encoded).decode()}


def image_id(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def description(name: str) -> Message:
    digests = [name] if "@" in name else []
    names = {"Id": image_id(name), "RepoTags": [name], "RepoDigests": digests}
    return {**names, "Config": {"Labels": {}}, "Size": 1, "Os": "linux", "Architecture": "amd64"}


def manifest_digest(name: str) -> str:
    """Return the digest that a registry would know the image *name* by."""
    return image_id(f"manifest of {name}")


def labels(name: str) -> dict[str, str]:
    """Return the labels of the image that its tag, `…/<model>:<backend>-<device>-<hash>`, says it is."""
    cell, _, content = name.rpartition("/")[2].rpartition("-")
    return {f"{LABEL}.cell": cell, f"{LABEL}.hash": content}


class FakeRegistries:
    """A registry that has *offered*: reference → what it is. refusal: what it says of any other."""

    platform = "linux/amd64"

    def __init__(self, offered: dict[str, Remote], refusal: str) -> None:
        self.offered, self.refusal = offered, refusal
        self.asked: list[str] = []

    def describe(self, reference: str) -> Remote | None:
        self.asked.append(reference)
        if reference not in self.offered and self.refusal != "manifest unknown":
            raise refused(f"{reference} cannot be looked up", host_of(reference), self.refusal)
        return self.offered.get(reference)

    def tags(self, name: str) -> tuple[str, ...]:
        return tuple(tag for each, _, tag in map(parted, self.offered) if each == name)


class EmptyEngine:
    """An engine that has nothing, and refuses to make anything."""

    def version(self) -> Message:
        return {"Version": "20.10.24", "ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}

    def info(self) -> Message:
        return {}

    def disk_usage(self) -> Message:
        return {"LayersSize": 0}

    def registries(self, say: Callable[[str], None]) -> Registries:
        return FakeRegistries({}, "manifest unknown")

    def find_image(self, reference: str) -> Message | None:
        return None

    def images(self, label: str) -> list[Message]:
        return []

    def history(self, image: str) -> list[Message]:
        raise NotOnEngineError(f"No such image: {image}")

    def tag(self, image: str, reference: str) -> None:
        raise NotOnEngineError(f"No such image: {image}")

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        raise NotOnEngineError(f"No such image: {image}")

    def import_root(self, archive: Path, reference: str, changes: Sequence[str]) -> Generator[Message]:
        raise EngineRefusedError("no imports")

    def export_images(self, tags: Sequence[str]) -> Generator[bytes]:
        raise NotOnEngineError(f"No such image: {tags[0]}")

    def import_images(self, archive: Iterator[bytes]) -> Generator[Message]:
        raise EngineRefusedError("no imports")

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        raise EngineRefusedError("no such host")

    def push_image(self, name: str, tag: str) -> Generator[Message]:
        raise EngineRefusedError("no such host")

    def build(self, context: IO[bytes], parameters: Mapping[str, str | list[str]]) -> Generator[Message]:
        raise EngineRefusedError("no builds")

    def remove_build_cache(self, record: str) -> None:
        pass

    def containers(self, *, label: str | None = None, sizes: bool = False) -> list[Message]:
        return []

    def create_container(self, name: str, configuration: Mapping[str, Any]) -> None:
        raise EngineRefusedError("no containers")

    def attach(self, container: str) -> Iterator[Output]:
        raise NotOnEngineError(f"No such container: {container}")

    def events(self, container: str) -> Iterator[Message]:
        return iter(())

    def start(self, container: str) -> None:
        raise NotOnEngineError(f"No such container: {container}")

    def stop(self, container: str, timeout_s: int) -> None:
        raise NotOnEngineError(f"No such container: {container}")

    def wait_until_removed(self, container: str, timeout_s: int) -> None:
        pass

    def remove_container(self, container: str, *, force: bool = False) -> None:
        raise NotOnEngineError(f"No such container: {container}")

    def export_container(self, container: str) -> Iterator[bytes]:
        raise NotOnEngineError(f"No such container: {container}")

    def read_path(self, container: str, path: str) -> Iterator[bytes]:
        raise NotOnEngineError(f"No such container: {container}")

    def volumes(self, label: str) -> list[Message]:
        return []

    def remove_volume(self, volume: str) -> None:
        raise NotOnEngineError(f"No such volume: {volume}")

    def networks(self, label: str) -> list[Message]:
        return []

    def remove_network(self, network: str) -> None:
        raise NotOnEngineError(f"No such network: {network}")


class FakeEngine(EmptyEngine):
    """An engine that has the images *present*, in front of a registry that has those *offered*; it remembers its pulls.

    refusal: what the registry says of any other. messages: what a build answers; the last may be an error to raise.
    """

    def __init__(self, *present: str, offered: tuple[str, ...] = (), refusal: str = "manifest unknown") -> None:
        self.present = {name: description(name) for name in present}
        self.offered = {each: self.remote(each) for each in offered}
        self.refusal = refusal
        self.registry = FakeRegistries(self.offered, refusal)
        self.pulls: list[str] = []
        self.pushes: list[str] = []
        self.messages: list[Message | Exception] = []
        self.parameters: dict[str, str | list[str]] = {}
        self.about = super().version()

    @staticmethod
    def remote(name: str) -> Remote:
        return Remote(parted(name)[0], manifest_digest(name), ("linux/amd64",), labels(name))

    def version(self) -> Message:
        return self.about

    def registries(self, say: Callable[[str], None]) -> Registries:
        return self.registry

    def find_image(self, reference: str) -> Message | None:
        return self.present.get(reference)

    def images(self, label: str) -> list[Message]:
        key, _, value = label.partition("=")
        labels = (dict(each["Config"]["Labels"]) for each in self.present.values())
        return [{"Labels": each} for each in labels if each.get(key) == value]

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        """Take one name away, as an engine does where there are others; an id takes the image."""
        found = self.present.pop(image)
        found["RepoTags"] = [name for name in found["RepoTags"] if name != image]

    def tag(self, image: str, reference: str) -> None:
        found = next(each for each in self.present.values() if each["Id"] == image)
        if reference in self.present:
            self.present[reference]["RepoTags"].remove(reference)
        self.present[reference] = found
        found["RepoTags"].append(reference)

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        wanted = f"{name}{'@' if ':' in tag else ':'}{tag}"
        found = next((each for each, remote in self.offered.items() if wanted in (each, remote.pinned)), wanted)
        self.pulls.append(found)
        if found not in self.offered:
            yield {"error": self.refusal}
            return
        yield {"id": "layer", "status": "Downloading", "progressDetail": {"current": 1, "total": 2}}
        self.present[wanted] = {**description(found), "RepoTags": [], "RepoDigests": [self.offered[found].pinned]}

    def push_image(self, name: str, tag: str) -> Generator[Message]:
        pushed = f"{name}:{tag}"
        self.pushes.append(pushed)
        yield {"id": "layer", "status": "Pushing", "progressDetail": {"current": 1, "total": 2}}
        if self.refusal != "manifest unknown":
            yield {"error": self.refusal}
        yield {"aux": {"Tag": tag, "Digest": manifest_digest(self.present[pushed]["Id"]), "Size": 1}}

    def build(self, context: IO[bytes], parameters: Mapping[str, str | list[str]]) -> Generator[Message]:
        self.parameters = dict(parameters)
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

    def part(self, name: str, done: int, total: int | None) -> None:
        pass

    def part_over(self, name: str) -> None:
        pass
