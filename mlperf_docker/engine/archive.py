"""Archives of images: what `docker save` writes and `docker load` reads.

A layer that several images share is stored once.
"""

import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Protocol

from mlperf_docker.engine.engine import Engine, EngineLostError, EngineRefusedError
from mlperf_docker.errors import EngineError
from mlperf_docker.registry.references import familiar

_CHUNK_BYTES = 2**20
_FULL = "no space left on device"


class NoArchiveError(Exception):
    """A file that is no archive of images, or one that was cut off."""


class Sink(Protocol):
    """Destination of an archive."""

    def write(self, chunk: bytes, /) -> object:
        """Append *chunk*."""


def save(client: Engine, tags: Sequence[str], to: Sink, report: Callable[[int], None]) -> None:
    """Write the images *tags* to *to*. report: bytes written so far.

    Whether it is all there is for `tags_in` to tell: an engine writes its error at the end of the archive. Raises
    EngineError where it refuses, and OSError where *to* cannot be written.
    """
    done = 0
    try:
        with closing(client.export_images(tags)) as chunks:
            for chunk in chunks:
                to.write(chunk)
                done += len(chunk)
                report(done)
    except EngineRefusedError as error:
        raise _refused("save", error.reason) from error
    except EngineLostError as error:
        raise _refused("save", f"the connection to it broke: {error.reason}") from error


def load(client: Engine, path: Path, report: Callable[[int], None]) -> None:
    """Have the engine load the archive at *path*. report: bytes that it took so far. Raises EngineError."""
    with path.open("rb") as file:
        try:
            for message in client.import_images(_reading(file, report)):
                if "error" in message:
                    raise _refused("load", str(message["error"]))
        except EngineRefusedError as error:
            raise _refused("load", error.reason) from error
        except EngineLostError as error:
            raise _refused("load", f"the connection to it broke: {error.reason}") from error


def tags_in(path: Path) -> set[str]:
    """Return the tags that loading *path* would give. Reads no layer. Raises NoArchiveError, also where one lacks."""
    try:
        with tarfile.open(path) as tar:
            held = set(tar.getnames())
            member = tar.extractfile("manifest.json")
            images: list[dict[str, Any]] = json.loads(member.read()) if member else []
        absent = {name for image in images for name in (image["Config"], *image["Layers"])} - held
        tags = {familiar(tag) for image in images for tag in image["RepoTags"] or ()}
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise NoArchiveError(f"is no whole archive of images ({error})") from error
    if absent:
        raise NoArchiveError(f"is no whole archive of images (it lacks {', '.join(sorted(absent))})")
    return tags


def _reading(file: IO[bytes], report: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
        done += len(chunk)
        report(done)


def _refused(verb: str, reason: str) -> EngineError:
    if _FULL in reason:
        return EngineError(
            f"The engine cannot {verb} the images: its disk is full ({reason}).",
            hint="Free some: docker system df, then docker image prune; see mlperf-docker doctor. While it works, it"
            " needs the size of the archive twice.",
        )
    return EngineError(f"The engine cannot {verb} the images: {reason}", hint="See: mlperf-docker doctor")
