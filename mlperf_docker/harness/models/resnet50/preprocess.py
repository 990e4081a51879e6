"""Preprocessing of ImageNet, byte for byte as upstream: for TensorFlow's weights and for torchvision's.

The two differ in all but the sizes: in the resampling, in the rounding of the crop, and in how pixels become floats.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Samples
from mlperf_docker.harness.models.resnet50.dataset import ImageNet
from mlperf_docker.harness.models.resnet50.network import Form
from mlperf_docker.harness.samples.images import ImageDecoder
from mlperf_docker.harness.samples.kept import Several
from mlperf_docker.harness.samples.preparation import Preparation

VERSION = "resnet50-vgg-2"
TORCHVISION_VERSION = "resnet50-torchvision-2"
"""Part of the cache's key. Count it up when the bytes change, or when more is found wrong."""

SIZE = 224
SHORT_SIDE = 256  # int(100 * 224 / 87.5): the central crop keeps 87.5 %
SHAPE = (SIZE, SIZE, 3)
MEANS = (123.68, 116.78, 103.94)
TORCHVISION_MEANS = (0.485, 0.456, 0.406)
TORCHVISION_DEVIATIONS = (0.229, 0.224, 0.225)
"""Of the training images, red, green, blue; torchvision's with pixels from 0 to 1."""


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


def torchvision_crop_origin(height: int, width: int) -> tuple[int, int]:
    """Top and left of the same square, where halves go to the even neighbour.

    Source: torchvision, transforms/functional.py, center_crop.
    """
    return round((height - SIZE) / 2), round((width - SIZE) / 2)


class ImageNetReader(ImageDecoder):
    """Reads one image into (224, 224, 3) uint8, red first, for TensorFlow's weights.

    Source: mlcommons/inference, vision/classification_and_detection/python/dataset.py, pre_process_vgg.
    """

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample, with the reason, if the file is no complete image."""
        image = self.decode(self._names[index])
        size = target_size(*image.shape[:2])
        image = self._cv2.resize(image, size, interpolation=self._cv2.INTER_AREA)
        top, left = crop_origin(*image.shape[:2])
        out[:] = image[top : top + SIZE, left : left + SIZE]


class TorchvisionReader(ImageDecoder):
    """Reads one image into (224, 224, 3) uint8, red first, for torchvision's weights.

    The short side becomes 256 by the same rule as above. Pillow's bilinear filter widens with the reduction, which
    OpenCV's INTER_LINEAR does not. Decoding is OpenCV's all the same.
    Source: mlcommons/inference, vision/classification_and_detection/python/dataset.py, pre_process_imagenet_pytorch.
    """

    def prepare(self) -> None:
        """Import OpenCV and Pillow."""
        super().prepare()
        import PIL.Image

        self._pillow: Any = PIL.Image

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample, with the reason, if the file is no complete image."""
        image = self.decode(self._names[index])
        size = target_size(*image.shape[:2])
        resized = self._pillow.fromarray(image).resize(size, self._pillow.Resampling.BILINEAR)
        top, left = torchvision_crop_origin(resized.height, resized.width)
        out[:] = resized.crop((left, top, left + SIZE, top + SIZE))


class ImageNetSamples:
    """The cached images as float32 with the mean subtracted: (batch, 3, 224, 224), or with the channels last.

    The crop comes before the conversion to float32, so subtracting here gives upstream's numbers bit for bit, from a
    cache of a quarter of the size.
    """

    lengths = None
    joined = Joined.PADDED

    def __init__(self, images: Several, *, channels_last: bool = False) -> None:
        self._images = images
        self._channels_last = channels_last

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._images)

    def load(self, indices: Sequence[int]) -> Arrays:
        """The images *indices*, in this order."""
        means = np.array(MEANS, dtype=np.float32)
        shape = (SIZE, SIZE, 3) if self._channels_last else (3, SIZE, SIZE)
        tensor = np.empty((len(indices), *shape), dtype=np.float32)
        pixels = tensor if self._channels_last else tensor.transpose(0, 2, 3, 1)
        for row, index in enumerate(indices):
            np.subtract(self._images[index], means, out=pixels[row])
        return (tensor,)


class TorchvisionSamples:
    """The cached images as float32, normalised: (batch, 3, 224, 224), or with the channels last.

    The 256 values of a pixel are normalised once for each channel, with torchvision's own steps, and then looked up.
    """

    lengths = None
    joined = Joined.PADDED

    def __init__(self, images: Several, *, channels_last: bool = False) -> None:
        self._images = images
        self._channels_last = channels_last
        means, deviations = (np.array(x, dtype=np.float32) for x in (TORCHVISION_MEANS, TORCHVISION_DEVIATIONS))
        pixels = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        self._normalised = np.ascontiguousarray(((pixels - means) / deviations).T)

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._images)

    def load(self, indices: Sequence[int]) -> Arrays:
        """The images *indices*, in this order."""
        shape = (SIZE, SIZE, 3) if self._channels_last else (3, SIZE, SIZE)
        tensor = np.empty((len(indices), *shape), dtype=np.float32)
        planes = tensor.transpose(0, 3, 1, 2) if self._channels_last else tensor
        for row, index in enumerate(indices):
            image = self._images[index]
            for channel, values in enumerate(self._normalised):
                planes[row, channel] = values[image[:, :, channel]]
        return (tensor,)


def job(dataset: ImageNet, form: Form) -> Preparation:
    """What the cache must hold for *dataset*."""
    reader = TorchvisionReader if form.torchvision else ImageNetReader
    return Preparation(
        identity=dataset.identity,
        version=TORCHVISION_VERSION if form.torchvision else VERSION,
        names=dataset.names,
        sizes=dataset.sizes,
        shape=SHAPE,
        dtype="uint8",
        reader=reader(dataset.root, dataset.names),
        files=[(f"{dataset.root}/{name}",) for name in dataset.names],
    )


def samples(images: Several, form: Form) -> Samples:
    """The cached images in the form that a model takes."""
    kind = TorchvisionSamples if form.torchvision else ImageNetSamples
    return kind(images, channels_last=form.channels_last)
