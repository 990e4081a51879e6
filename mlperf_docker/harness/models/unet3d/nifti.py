"""Volumes in NIfTI files: what their headers say, and their voxels, with everything that can be wrong with them."""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import BadSample
from mlperf_docker.harness.models.unet3d.geometry import Shape

UNITS = ("mm", "unknown")
"""KiTS19 is in millimetres; a header that does not say so is taken at its word."""
PLAUSIBLE_MM = (0.05, 20.0)
"""Spacings outside are in another unit, whatever the header says."""


@dataclass(frozen=True, slots=True)
class Header:
    """Size and spacing (millimetres) of a volume."""

    shape: Shape
    spacing: tuple[float, float, float]


def _open(path: Path) -> Any:  # noqa: ANN401 (nibabel comes without types)
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        return nibabel.load(path)
    except FileNotFoundError:
        raise BadSample("missing") from None
    except (OSError, EOFError, ValueError, zlib.error, HeaderDataError, ImageFileError) as error:
        raise BadSample(_reason(error, path)) from error


def _reason(error: Exception, path: Path) -> str:
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return "empty"
    damaged = isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile))
    return f"{'truncated or damaged' if damaged else 'no NIfTI file'} ({size} bytes)"


def read_header(path: Path) -> Header:
    """Size and spacing. Raises BadSample if this is no volume in millimetres."""
    image = _open(path)
    shape = tuple(int(length) for length in image.shape)
    if len(shape) != 3:
        raise BadSample(f"{len(shape)} axes {list(shape)} and not three")
    if not all(shape):
        raise BadSample(f"no voxels: its shape is {list(shape)}")
    depth, height, width = shape
    try:
        unit = image.header.get_xyzt_units()[0]
    except (KeyError, ValueError):
        unit = "a unit that NIfTI does not have"
    if unit not in UNITS:
        raise BadSample(f"its spacing is in {unit}, not in mm")
    z, y, x = image.header["pixdim"][1:4].tolist()
    low, high = PLAUSIBLE_MM
    if not all(math.isfinite(each) and low <= each <= high for each in (z, y, x)):
        raise BadSample(f"a spacing of {z:g} x {y:g} x {x:g} cannot be in mm")
    return Header((depth, height, width), (z, y, x))


def read_image(path: Path) -> NDArray[np.float32]:
    """The voxels, as float32. Raises BadSample for a damaged file, or voxels that are no numbers."""
    voxels = _scaled(_open(path), path, np.float32)
    if not np.isfinite(voxels.sum(dtype=np.float64)):
        count = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        raise BadSample(f"{count} voxels are not finite numbers")
    return voxels


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The voxels, each 0, 1 or 2. Raises BadSample for a damaged file, or others."""
    voxels = _scaled(_open(path), path, np.float32)
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    for label in (1, 2):
        labels[voxels == label] = label
    if not np.array_equal(labels, voxels):
        raise BadSample(f"{int(np.count_nonzero(labels != voxels))} voxels are neither 0, 1 nor 2")
    return labels


def _scaled(image: Any, path: Path, dtype: type[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401
    """All voxels; the header's slope and intercept, if it has any, are applied in float64, plane by plane.

    The same values as nibabel's `get_fdata().astype(float32)`, which takes twelve bytes a voxel on the way.
    """
    try:
        raw: NDArray[Any] = image.dataobj.get_unscaled()
        slope, intercept = image.dataobj.slope, image.dataobj.inter
        _read_to_the_end(path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadSample(_reason(error, path)) from error
    if (slope, intercept) == (1.0, 0.0):
        return raw.astype(dtype)
    voxels = np.empty(raw.shape, dtype=dtype, order="F")
    for plane in range(raw.shape[-1]):
        voxels[..., plane] = raw[..., plane].astype(np.float64) * slope + intercept
    return voxels


def _read_to_the_end(path: Path) -> None:
    """Let gzip compare its checksum, which comes after the voxels; nibabel stops before it."""
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            while stream.read(1 << 20):
                pass
