"""Image files: decoding as OpenCV does it, and telling in time which ones are missing or damaged."""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import BadSample, DatasetError, first_ten

_TAIL_BYTES = 64
# A marker other than a stuffed 0xFF (00) or a restart (D0..D7) ends a run of entropy-coded data.
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_EOI, _SOS = 0xD9, 0xDA


def has_end(data: bytes) -> bool:
    """Whether a JPEG reaches its end-of-image marker; one inside a thumbnail does not count, bytes after it are fine.

    Source: ITU-T T.81, annex B.1.
    """
    position = 2
    while (position := data.find(b"\xff", position)) != -1 and position + 1 < len(data):
        marker = data[position + 1]
        if marker == _EOI:
            return True
        if marker == 0xFF:
            position += 1
        elif marker in _NO_LENGTH:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if marker == _SOS:
                end = _SCAN_END.search(data, position)
                position = end.start() if end else len(data)
    return False


def check_complete(path: str) -> None:
    """Raise BadSample if a JPEG is truncated. OpenCV fills the missing part with grey and does not say so."""
    with open(path, "rb") as stream:  # noqa: PTH123 (per image)
        if stream.read(2) != b"\xff\xd8":
            return
        stream.seek(0, 2)
        size = stream.tell()
        stream.seek(max(0, size - _TAIL_BYTES))
        if stream.read().rstrip(b"\x00\r\n").endswith(b"\xff\xd9"):
            return
        stream.seek(0)
        if not has_end(stream.read()):
            raise BadSample(f"truncated after {size} bytes")


class Decoder:
    """Decodes images below a folder. Works in a process of its own, on one thread. names: of the samples, in order."""

    def __init__(self, root: Path, names: Sequence[str] = ()) -> None:
        self._root = str(root)
        self._names = names

    def prepare(self) -> None:
        """Import OpenCV, single-threaded: the processes already use all cores."""
        import cv2

        cv2.setNumThreads(1)
        self._cv2: Any = cv2

    def decode(self, name: str) -> NDArray[np.uint8]:
        """The image *name* as (height, width, 3), red first. Raises BadSample, saying why it is no complete image.

        Decoding to RGB gives the bytes of imread and cvtColor in one step, EXIF orientation included.
        """
        path = f"{self._root}/{name}"
        try:
            check_complete(path)
        except OSError as error:
            raise BadSample(error.strerror or "unreadable") from error
        image: NDArray[np.uint8] | None = self._cv2.imread(path, self._cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise BadSample("not an image")
        return image

    def glance(self, name: str) -> str | None:
        """Say what is wrong with the file *name*; decodes an eighth of its size, which takes a third of the time."""
        path = f"{self._root}/{name}"
        try:
            check_complete(path)
        except OSError as error:
            return error.strerror or "unreadable"
        except BadSample as problem:
            return str(problem)
        small = self._cv2.imread(path, self._cv2.IMREAD_REDUCED_GRAYSCALE_8)
        return "not an image" if small is None else None


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files that are there. identity: a digest over names, sizes, times and *extra*, but not their place."""

    sizes: tuple[int, ...]
    identity: str


def check_files(root: Path, names: Sequence[str], *, listed_in: str, extra: Iterable[str] = ()) -> ImageFiles:
    """Look at every image. Raises DatasetError where one is missing or empty, and then looks at all others too.

    So the user reads of every bad file at once, in seconds and not after a preprocessing that cannot succeed.
    listed_in: the file that names the images; extra: what else makes the data set what it is (its labels).
    """
    found, bad = [], {}
    digest = hashlib.sha256()
    for name in names:
        try:
            status = os.stat(f"{root}/{name}")  # noqa: PTH116 (50,000 Path objects cost as much as the calls)
        except OSError as error:
            bad[name] = "missing" if isinstance(error, FileNotFoundError) else str(error.strerror)
            continue
        if status.st_size == 0:
            bad[name] = "empty"
        found.append(status.st_size)
        digest.update(f"{name}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    if bad:
        bad |= _damaged(root, (name for name in names if name not in bad))
        raise DatasetError(
            f"{len(bad)} of {len(names)} images that {listed_in} names are missing or damaged in {root}",
            hint="Complete the data set: leaving images out would change the benchmark.",
            details=first_ten([f"{name}: {bad[name]}" for name in names if name in bad]),
        )
    for line in extra:
        digest.update(f"{line}\n".encode())
    return ImageFiles(tuple(found), digest.hexdigest())


def _damaged(root: Path, names: Iterable[str]) -> dict[str, str]:
    """What a quick look at each file finds."""
    decoder = Decoder(root)
    decoder.prepare()
    problems = ((name, decoder.glance(name)) for name in names)
    return {name: problem for name, problem in problems if problem}
