"""Geometry of windows: padded size and window positions of a volume, axis by axis.

Source: mlcommons/inference, vision/medical_imaging/3d-unet-kits19/preprocess.py.
"""

import math
from dataclasses import dataclass

from mlperf_docker.harness.architectures.unet3d import ROI

SPACING = (1.6, 1.2, 1.2)
"""Millimetres between voxels that all volumes are resampled to."""
STEP = ROI // 2
"""Voxels from one window to the next."""

Shape = tuple[int, int, int]
Corner = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Axis:
    """Steps for an axis: repeat its ends, cut to start:stop, then pad."""

    edge: tuple[int, int]
    """Voxels repeated before and after."""
    start: int
    stop: int
    pad: tuple[int, int]
    """Voxels padded before and after."""

    @property
    def length(self) -> int:
        """Voxels at the end: a multiple of STEP, at least ROI."""
        return self.pad[0] + self.stop - self.start + self.pad[1]


def _halves(count: int) -> tuple[int, int]:
    return count // 2, count - count // 2


def fit(length: int) -> Axis:
    """How an axis of *length* comes to a multiple of STEP: less than half a step too much is cut, else it is padded."""
    edge = _halves(max(0, ROI - length))
    length += sum(edge)
    excess = length % STEP
    cut = _halves(excess if excess < STEP // 2 else 0)
    kept = length - sum(cut)
    return Axis(edge, cut[0], length - cut[1], _halves(-kept % STEP))


def zoom_factors(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """How much longer each axis becomes in voxels."""
    return tuple(own / wanted for own, wanted in zip(spacing, SPACING, strict=True))


def resampled(shape: Shape, spacing: tuple[float, ...]) -> Shape:
    """The shape at SPACING; halves are rounded to even numbers, as scipy does it."""
    depth, height, width = (round(n * factor) for n, factor in zip(shape, zoom_factors(spacing), strict=True))
    return depth, height, width


def fitted(shape: Shape, spacing: tuple[float, ...]) -> Shape:
    """The shape of a preprocessed volume."""
    depth, height, width = (fit(length).length for length in resampled(shape, spacing))
    return depth, height, width


def corners(shape: Shape) -> list[Corner]:
    """First voxel of each window over a preprocessed volume, the last axis running fastest."""
    planes, rows, columns = (range(0, length - ROI + 1, STEP) for length in shape)
    return [(z, y, x) for z in planes for y in rows for x in columns]


def voxels(shape: Shape) -> int:
    """Voxels of a volume."""
    return math.prod(shape)
