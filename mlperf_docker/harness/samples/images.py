"""Image files: decoding by OpenCV, with missing and damaged files reported before the test."""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten
from mlperf_docker.harness.samples import jpeg, jpeg_blocks
from mlperf_docker.harness.system import data_files

MOST_PIXELS = 64_000_000
"""Of a picture. Decoding takes up to 11 bytes for each, and RetinaNet 12 more."""
MOST_SCANNED = 64 * MOST_PIXELS
"""Pixels of all a JPEG's scans; progressive ones have some ten."""
MOST_BYTES = 256 << 20
"""Of an image file."""

_PNG = b"\x89PNG\r\n\x1a\n"
_DAMAGE = re.compile("premature end of .*|bad .* code|found marker 0x.*", re.IGNORECASE)
"""What libjpeg says where picture data are missing or wrong, and fills in what it can."""
_LIBJPEG = re.compile(
    r"Corrupt JPEG data|Premature end of JPEG|Invalid SOS|Inconsistent progression|Warning: |Unknown Ad"
)


def opencv() -> Any:  # noqa: ANN401 (OpenCV has no types)
    """OpenCV, which refuses pictures of more than MOST_PIXELS by their headers, whatever their format."""
    # It reads this when it is loaded.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MOST_PIXELS)
    import cv2

    return cv2


class Listener:
    """Hears what libraries write on stderr, as libjpeg has no other way to say that a picture is damaged.

    The process's stderr leads elsewhere meanwhile: for processes that work on one picture at a time.
    """

    def __init__(self) -> None:
        # In memory: on a full disk nothing would be heard.
        self._file = os.fdopen(os.memfd_create("heard"), "wb", buffering=0)

    @contextlib.contextmanager
    def hears(self) -> Iterator[list[str]]:
        """Give a list that has libjpeg's lines afterwards; other lines are passed on."""
        lines: list[str] = []
        descriptor, own = self._file.fileno(), os.dup(2)
        os.dup2(descriptor, 2)
        try:
            yield lines
        finally:
            os.dup2(own, 2)
            os.close(own)
            if os.lseek(descriptor, 0, os.SEEK_CUR):
                lines += self._taken(descriptor)

    def _taken(self, descriptor: int) -> list[str]:
        text = os.pread(descriptor, 1 << 16, 0)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        lines = text.decode(errors="replace").splitlines()
        others = [line for line in lines if not _LIBJPEG.match(line)]
        with contextlib.suppress(OSError):
            os.write(2, "".join(f"{line}\n" for line in others).encode())
        return [line for line in lines if _LIBJPEG.match(line)]


def check_header(data: bytes) -> None:
    """Raise BadSample if a picture is truncated, or has too many pixels, where OpenCV would not say so by itself.

    It fills what is missing of a JPEG with grey, and takes room for as much as a PNG's chunk says that it has.
    """
    if jpeg.is_jpeg(data):
        height, width = jpeg.size(data)
        if height * width > MOST_PIXELS:
            raise BadSample(f"{width} x {height} pixels; up to {MOST_PIXELS // 1_000_000} million are read")
        scans = data.count(jpeg.SCAN)
        if height * width * scans > MOST_SCANNED:
            raise BadSample(f"{scans} scans of {width} x {height} pixels")
    if not (jpeg.has_end(data) if jpeg.is_jpeg(data) else _has_chunks(data)):
        raise BadSample(f"truncated after {len(data)} bytes")


def _has_chunks(data: bytes) -> bool:
    """Whether all chunks of a PNG are there; True for other files. Source: RFC 2083, section 3.2."""
    position = len(_PNG)
    while data.startswith(_PNG) and not data.startswith(b"IEND", position + 4):
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if position >= len(data):
            return False
    return True


def check_blocks(data: bytes, complaints: Sequence[str]) -> None:
    """Raise BadSample if picture data of a JPEG, of which libjpeg has *complaints*, are missing or wrong.

    It says no more than what it notices first, which may be of no consequence: bytes too many between two parts.
    """
    damage = next((found[0] for found in map(_DAMAGE.search, complaints) if found), None)
    damage = damage or jpeg_blocks.damage(data)
    if damage:
        raise BadSample(f"picture data are missing or damaged: {damage}")


class ImageDecoder:
    """Decodes images below a folder. Works in a process of its own, on one thread. names: of the samples, in order.

    listening: hear whether libjpeg finds a picture damaged. Without, images may be decoded by several threads.
    """

    def __init__(self, root: Path, names: Sequence[str] = (), *, listening: bool = True) -> None:
        self._root = str(root)
        self._names = names
        self._listening = listening

    def prepare(self) -> None:
        """Import OpenCV, single-threaded: the processes already use all cores."""
        self._cv2: Any = opencv()
        self._cv2.setNumThreads(1)
        self._listener = Listener() if self._listening else None

    def decode(self, name: str) -> NDArray[np.uint8]:
        """The image *name* as (height, width, 3), red first. Raises BadSample, saying why it is no complete image.

        Decoding to RGB gives the bytes of imread and cvtColor in one step, EXIF orientation included.
        """
        return self._decoded(name, self._cv2.IMREAD_COLOR_RGB)

    def glance(self, name: str) -> str | None:
        """Say what is wrong with the file *name*; decodes an eighth of its size, which takes a third of the time."""
        try:
            self._decoded(name, self._cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except BadSample as problem:
            return str(problem)
        return None

    def _decoded(self, name: str, how: int) -> NDArray[np.uint8]:
        data = _read(Path(f"{self._root}/{name}"))
        check_header(data)
        if self._listener is None:
            return self._image(data, how)
        with self._listener.hears() as complaints:
            image = self._image(data, how)
        if jpeg.is_jpeg(data) and (complaints or jpeg.has_hole(data)):
            check_blocks(data, complaints)
        return image

    def _image(self, data: bytes, how: int) -> NDArray[np.uint8]:
        try:
            image: NDArray[np.uint8] | None = self._cv2.imdecode(np.frombuffer(data, dtype=np.uint8), how)
        except self._cv2.error as error:
            if "CV_IO_MAX_IMAGE" in error.err:
                raise BadSample(f"more than {MOST_PIXELS // 1_000_000} million pixels") from error
            raise BadSample(f"OpenCV cannot decode it: {error.err}") from error
        if image is None:
            raise BadSample("not an image")
        return image


def _read(path: Path) -> bytes:
    """The file, which is regular, not empty and of a size that a picture can have. Raises BadSample."""
    data = data_files.content(path, most=MOST_BYTES)
    if not data:
        raise BadSample("empty")
    return data


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Image files that are there."""

    sizes: tuple[int, ...]
    identity: str
    """A digest over names, sizes, times and *extra*, but not their place."""


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
            bad[name] = _absence(root / name, error)
            continue
        if not stat.S_ISREG(status.st_mode):
            bad[name] = _kind(root / name)
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


def _absence(path: Path, error: OSError) -> str:
    """Why a file cannot be looked at; of a link whose end is not there, where it leads."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return str(error.strerror)
    return f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "missing"


def _kind(path: Path) -> str:
    try:
        data_files.status(path)
    except BadSample as problem:
        return str(problem)
    return "changes while it is looked at"


def _damaged(root: Path, names: Iterable[str]) -> dict[str, str]:
    """What a quick look at each file finds."""
    decoder = ImageDecoder(root)
    decoder.prepare()
    problems = ((name, decoder.glance(name)) for name in names)
    return {name: problem for name, problem in problems if problem}
