"""Archives of images: what `docker save` writes and `docker load` reads.

A layer that several images share is stored once.
"""

import json
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlperf_docker.engine.engine import Engine, EngineLostError, EngineRefusedError, ImageStore
from mlperf_docker.errors import EngineError
from mlperf_docker.registry.references import familiar

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


def load(client: ImageStore, archive: Iterator[bytes]) -> None:
    """Have the engine load *archive*. Raises EngineError."""
    try:
        for message in client.import_images(archive):
            if "error" in message:
                raise _refused("load", str(message["error"]))
    except EngineRefusedError as error:
        raise _refused("load", error.reason) from error
    except EngineLostError as error:
        raise _refused("load", f"the connection to it broke: {error.reason}") from error


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive, as `manifest.json` has it."""

    tags: tuple[str, ...]
    config: str
    """Member with the configuration, named by its own digest: `<hex>.json` or `blobs/sha256/<hex>`."""
    layers: tuple[str, ...]
    """Members with the layers, the lowest first."""


def images_in(path: Path) -> tuple[dict[str, tarfile.TarInfo], list[ArchivedImage]]:
    """Return the members of the archive at *path* by name, links followed, and its images. Reads no layer.

    Raises NoArchiveError, also where a member lacks.
    """
    try:
        with tarfile.open(path) as tar:
            members = {each.name: each for each in tar.getmembers()}
            member = tar.extractfile("manifest.json")
            entries: list[dict[str, Any]] = json.loads(member.read()) if member else []
        images = [_archived(entry) for entry in entries]
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise NoArchiveError(f"is no whole archive of images ({error})") from error
    held = {name: found for name in members if (found := _followed(members, name)) is not None}
    absent = {name for image in images for name in (image.config, *image.layers)} - held.keys()
    if absent:
        raise NoArchiveError(f"is no whole archive of images (it lacks {', '.join(sorted(absent))})")
    return held, images


def tags_in(path: Path) -> set[str]:
    """Return the tags that loading *path* would give. Reads no layer. Raises NoArchiveError, also where one lacks."""
    return {tag for image in images_in(path)[1] for tag in image.tags}


def _archived(entry: dict[str, Any]) -> ArchivedImage:
    tags = tuple(familiar(tag) for tag in entry["RepoTags"] or ())
    return ArchivedImage(tags, str(entry["Config"]), tuple(map(str, entry["Layers"])))


def _followed(members: dict[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo | None:
    """Return the file that *name* is or leads to: a layer of two images is a link in the second one's folder."""
    member = members[name]
    if member.issym():
        found = members.get(posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname)))
        return found if found is not None and found.isfile() else None
    return member


def _refused(verb: str, reason: str) -> EngineError:
    if _FULL in reason:
        return EngineError(
            f"The engine cannot {verb} the images: its disk is full ({reason}).",
            hint="Free some: docker system df, then docker image prune; see mlperf-docker doctor. While it works, it"
            " needs the size of the archive twice.",
        )
    return EngineError(f"The engine cannot {verb} the images: {reason}", hint="See: mlperf-docker doctor")
