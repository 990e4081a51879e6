"""Protocol of the container engine: the calls that this tool uses, and the errors that they raise.

Imports neither docker-py nor requests, so that a command that only names the type starts fast. `client` implements it.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

from mlperf_docker.errors import EngineError
from mlperf_docker.registry.remote import Registries

Message: TypeAlias = dict[str, Any]
"""A JSON object of the engine's, as https://docs.docker.com/reference/api/engine/ describes it."""

Output: TypeAlias = tuple[bytes | None, bytes | None]
"""A piece of a container's stdout, or of its stderr."""

_DOCTOR = "See: mlperf-docker doctor"


class EngineDownError(EngineError):
    """No engine answers: starting one would help, which is not so of one that is too old or somebody else's."""


class EngineRefusedError(EngineError):
    """The engine refuses a request. reason: its own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The Docker engine refuses: {reason}", hint=_DOCTOR)
        self.reason = reason


class NotOnEngineError(EngineRefusedError):
    """The engine has no such image, container or path."""


class EngineLostError(EngineError):
    """An answer did not come, or not to its end. reason: the system's words; answering: whether it had begun."""

    def __init__(self, message: str, reason: str, *, answering: bool) -> None:
        super().__init__(f"{message}: {reason}", hint=_DOCTOR)
        self.reason, self.answering = reason, answering


class EngineGoneError(EngineLostError):
    """The engine went away between two requests, or in one."""

    def __init__(self, reason: str, *, answering: bool = False) -> None:
        super().__init__("The Docker engine went away", reason, answering=answering)


class EngineSilentError(EngineLostError):
    """The engine did not answer in time."""

    def __init__(self, reason: str, *, answering: bool = False) -> None:
        super().__init__("The Docker engine does not answer", reason, answering=answering)


class Images(Protocol):
    """The images of an engine, to look at: a full client, or a glance at its socket."""

    def find_image(self, reference: str) -> Message | None:
        """Return the engine's description of the image that *reference* names, or None where it has none."""

    def images(self, label: str) -> list[Message]:
        """Return the images that have *label*, a key or `key=value`."""


class ImageStore(Images, Protocol):
    """A store of images, to which an archive may be added."""

    def version(self) -> Message:
        """Return the store's version and platform."""

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        """Take one name away, and with the last one the image. parents: whether untagged ones below go with it."""

    def import_images(self, archive: Iterator[bytes]) -> Generator[Message]:
        """Take an archive of images, and yield what there is to tell of it."""


class Engine(ImageStore, Protocol):
    """An engine. Every call raises EngineRefusedError and EngineLostError.

    Iterators belong to a request that is under way: closing one closes its connection, and cancels the request.
    """

    def version(self) -> Message:
        """Return the engine's version, API version, platform and components."""

    def info(self) -> Message:
        """Return what the engine says of itself and of its host."""

    def disk_usage(self) -> Message:
        """Return what images, containers, volumes and the build cache take."""

    def registries(self, say: Callable[[str], None]) -> Registries:
        """Return the registries as this engine sees them. say: told of every attempt that is repeated."""

    def history(self, image: str) -> list[Message]:
        """Return the steps that *image* was made by, the last first."""

    def tag(self, image: str, reference: str) -> None:
        """Give *image* the name *reference*, `name:tag`."""

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        """Take one name away, and with the last one the image. parents: whether untagged ones below go with it."""

    def import_root(self, archive: Path, reference: str, changes: Sequence[str]) -> Generator[Message]:
        """Make an image of the root file system *archive*. changes: lines of a Dockerfile."""

    def export_images(self, tags: Sequence[str]) -> Generator[bytes]:
        """Yield the images *tags* as one archive."""

    def import_images(self, archive: Iterator[bytes]) -> Generator[Message]:
        """Hand the engine an archive of images, and yield its messages."""

    def pull_image(self, name: str, tag: str) -> Generator[Message]:
        """Pull one image with docker's own login. tag: a tag or a digest. Raises RegistryError for a broken login."""

    def push_image(self, name: str, tag: str) -> Generator[Message]:
        """Push one tag with docker's own login. Raises RegistryError for a broken login."""

    def build(self, context: IO[bytes], parameters: Mapping[str, str | list[str]]) -> Generator[Message]:
        """Build from the tar *context*. parameters: of `POST /build`."""

    def remove_build_cache(self, record: str) -> None:
        """Remove the record of BuildKit's cache that has this id, unless something stands on it."""

    def containers(self, *, label: str | None = None, sizes: bool = False) -> list[Message]:
        """Return all containers, running or not, that have *label*. sizes: whether to measure what each has written."""

    def create_container(self, name: str, configuration: Mapping[str, Any]) -> None:
        """Create a container. configuration: the body of `POST /containers/create`."""

    def attach(self, container: str) -> Iterator[Output]:
        """Open the container's stdin, held open until it ends or this process does, and yield what it prints."""

    def events(self, container: str) -> Iterator[Message]:
        """Open the container's events, and yield them. A connection that breaks ends them."""

    def start(self, container: str) -> None:
        """Start a container that was created."""

    def stop(self, container: str, timeout_s: int) -> None:
        """Ask a container to end, and kill it after *timeout_s*."""

    def wait_until_removed(self, container: str, timeout_s: int) -> None:
        """Return once a container is gone."""

    def remove_container(self, container: str, *, force: bool = False) -> None:
        """Remove a container and none of its named volumes. force: also one that runs."""

    def export_container(self, container: str) -> Iterator[bytes]:
        """Yield the container's file system as a tar archive."""

    def read_path(self, container: str, path: str) -> Iterator[bytes]:
        """Yield *path* of the container as a tar archive."""

    def volumes(self, label: str) -> list[Message]:
        """Return the volumes that have *label*."""

    def remove_volume(self, volume: str) -> None:
        """Remove a volume."""

    def networks(self, label: str) -> list[Message]:
        """Return the networks that have *label*, each with its containers."""

    def remove_network(self, network: str) -> None:
        """Remove a network."""
