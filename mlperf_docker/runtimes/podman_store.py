"""Images of podman, asked by its command."""

import json
from collections.abc import Generator, Iterator
from typing import Any

from mlperf_docker.engine.engine import EngineRefusedError, Message
from mlperf_docker.errors import EngineError, RegistryError
from mlperf_docker.runtimes import process

_PULL_TIMEOUT_S = 3600
_ABSENT = ("no such image", "image not known")


class PodmanStore:
    """Images of the caller's podman."""

    def version(self) -> Message:
        """Return podman's version and platform, in the words of Docker's API."""
        about = info()
        system, _, architecture = str(about["version"]["OsArch"]).partition("/")
        return {"Version": about["version"]["Version"], "Os": system, "Arch": architecture}

    def find_image(self, reference: str) -> Message | None:
        """Return podman's description of the image, or None where it has no such image."""
        try:
            found = json.loads(process.ask(["podman", "image", "inspect", reference]))[0]
        except EngineError as error:
            if any(word in str(error) for word in _ABSENT):
                return None
            raise
        return {**found, "Id": f"sha256:{found['Id']}", "Config": {"Labels": found.get("Labels")}}

    def images(self, label: str) -> list[Message]:
        """Return the images that have *label*, a key or `key=value`."""
        return list(json.loads(process.ask(["podman", "images", f"--filter=label={label}", "--format=json"])) or ())

    def remove_image(self, image: str, *, parents: bool = True) -> None:
        """Take one name away, and with the last one the image."""
        del parents
        try:
            process.ask(["podman", "rmi", image])
        except EngineError as error:  # it is in use, say
            raise EngineRefusedError(str(error)) from error

    def import_images(self, archive: Iterator[bytes]) -> Generator[Message]:
        """Take an archive of images."""
        process.ask(["podman", "load", "--quiet"], given=archive)
        yield from ()

    def pull(self, reference: str) -> None:
        """Pull one image with podman's own login. Raises RegistryError."""
        try:
            process.ask(["podman", "pull", "--quiet", reference], timeout_s=_PULL_TIMEOUT_S)
        except EngineError as error:
            raise RegistryError(f"{reference} cannot be pulled: {error}") from error


def info() -> dict[str, Any]:
    """Return what podman says of itself and of its host. Raises EngineError."""
    found: dict[str, Any] = json.loads(process.ask(["podman", "info", "--format=json"]))
    return found
