"""ImageNet images to what the network takes, byte for byte as upstream's `pre_process_vgg`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Arrays
from mlperf_docker.harness.preprocess import BadSample

VERSION = "resnet50-vgg-1"
"""Part of the cache's key. Count it up when the bytes change."""

SIZE = 224
SHORT_SIDE = 256  # int(100 * 224 / 87.5): the central crop keeps 87.5 %
SHAPE = (SIZE, SIZE, 3)
MEANS = (123.68, 116.78, 103.94)
"""Of the training images, red, green, blue."""

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


def target_size(height: int, width: int) -> tuple[int, int]:
    """Width and height after resizing: the short side becomes 256.

    Source: mlcommons/inference, vision/classification_and_detection/python/dataset.py, resize_with_aspectratio.
    """
    if height > width:
        return SHORT_SIDE, int(SHORT_SIDE * height / width)
    return int(SHORT_SIDE * width / height), SHORT_SIDE


def crop_origin(height: int, width: int) -> tuple[int, int]:
    """Top and left of the central 224 x 224 square, truncating as upstream's center_crop does."""
    return int((height - SIZE) / 2), int((width - SIZE) / 2)


class ImageReader:
    """Reads one image into (224, 224, 3) uint8, red first. Works in a process of its own, on one thread."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = str(root)
        self._names = names

    def prepare(self) -> None:
        """Import OpenCV, single-threaded: the processes already use all cores."""
        import cv2

        cv2.setNumThreads(1)
        self._cv2: Any = cv2

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

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample, with the reason, if the file is no complete image.

        Decoding to RGB gives the bytes of upstream's imread and cvtColor in one step, EXIF orientation included.
        """
        cv2 = self._cv2
        path = f"{self._root}/{self._names[index]}"
        try:
            check_complete(path)
        except OSError as error:
            raise BadSample(error.strerror or "unreadable") from error
        image = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise BadSample("not an image")
        size = target_size(*image.shape[:2])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        top, left = crop_origin(*image.shape[:2])
        out[:] = image[top : top + SIZE, left : left + SIZE]


class ImageSamples:
    """The cached images, as float32 (batch, 3, 224, 224) with the mean subtracted.

    The crop comes before the conversion to float32, so subtracting here gives upstream's numbers bit for bit, from a
    cache of a quarter of the size.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = images

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._images)

    def load(self, indices: Sequence[int]) -> Arrays:
        """The images *indices*, in this order."""
        means = np.array(MEANS, dtype=np.float32)[:, None, None]
        tensor = np.empty((len(indices), 3, SIZE, SIZE), dtype=np.float32)
        for row, index in enumerate(indices):
            np.subtract(self._images[index].transpose(2, 0, 1), means, out=tensor[row])
        return (tensor,)
