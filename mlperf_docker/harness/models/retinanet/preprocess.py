"""Preprocessing of OpenImages, bit for bit as upstream's `pre_process_openimages_retinanet`.

Nothing of an image is cached: decoding and resizing one takes a few milliseconds of one core, less than reading its
7.7 MB as float32 from most disks, and the set would be 190 GB so (58 GB as decoded pixels) where the JPEGs have 9 GB.
Images are made when LoadGen loads them, on all cores; what is remembered is only that every file is a complete image.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import BadSample, DatasetError
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.architectures.retinanet import SIDE
from mlperf_docker.harness.models.retinanet.dataset import OpenImages
from mlperf_docker.harness.samples.images import ImageDecoder
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.system.resources import cores

VERSION = "openimages-looked-at-2"
"""Part of the cache's key. Count it up when more is looked at."""

SHAPE = (3, SIDE, SIDE)


class OpenImagesReader(ImageDecoder):
    """Makes one image of (3, 800, 800) float32, red first, values 0..1."""

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample, with the reason, if the file is no complete image.

        The conversion comes before the resizing: on bytes, OpenCV would round to whole numbers. All three colours are
        resized together, as upstream does: on some processors one at a time differs in the last bit.
        """
        image = self.decode(self._names[index]).astype(np.float32)
        resized = self._cv2.resize(image, (SIDE, SIDE), interpolation=self._cv2.INTER_LINEAR)
        np.divide(resized, np.float32(255), out=resized)
        self._cv2.split(resized, list(out))


class ImageChecker(OpenImagesReader):
    """Looks whether an image is complete, in a third of the time, and makes nothing of it."""

    def read(self, index: int, out: NDArray[Any]) -> None:  # noqa: ARG002
        """Raise BadSample, with the reason, if the file of sample *index* is no complete image."""
        problem = self.glance(self._names[index])
        if problem:
            raise BadSample(problem)


class OpenImagesSamples:
    """The images, decoded and resized whenever they are loaded. Raises DatasetError for one that cannot be."""

    lengths = None
    joined = Joined.PADDED

    def __init__(self, dataset: OpenImages) -> None:
        self._names = dataset.names
        self._reader = OpenImagesReader(dataset.folder, dataset.names, listening=False)
        self._reader.prepare()

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._names)

    def load(self, indices: Sequence[int]) -> Arrays:
        """The images *indices*, in this order, on all cores: OpenCV lets other threads run while it works."""
        tensor = np.empty((len(indices), *SHAPE), dtype=np.float32)
        with ThreadPoolExecutor(min(cores(), len(indices)), "images") as pool:
            list(pool.map(self._read, indices, tensor))
        return (tensor,)

    def _read(self, index: int, out: NDArray[np.float32]) -> None:
        try:
            self._reader.read(index, out)
        except BadSample as problem:
            raise DatasetError(
                f"the image {self._names[index]} cannot be read: {problem}",
                hint="It has changed since the data set was checked.",
            ) from problem


def job(dataset: OpenImages) -> Preparation:
    """Look at every image, keeping nothing of it: a sample in the cache has no bytes."""
    checker = ImageChecker(dataset.folder, dataset.names)
    return _job(dataset, VERSION, checker, (0,), "uint8")


def reading(dataset: OpenImages) -> Preparation:
    """Make every image as the network will see it; for a complete check."""
    return _job(dataset, "openimages-read", OpenImagesReader(dataset.folder, dataset.names), SHAPE, "float32")


def _job(
    dataset: OpenImages, version: str, reader: OpenImagesReader, shape: tuple[int, ...], dtype: str
) -> Preparation:
    files = [(f"{dataset.folder}/{name}",) for name in dataset.names]
    return Preparation(dataset.identity, version, dataset.names, dataset.sizes, shape, dtype, reader, files)
