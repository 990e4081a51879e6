"""Volumes in NIfTI files: what their headers say, and their voxels, with everything that can be wrong with them.

Headers are taken apart by nibabel, and not changed: when it loads a file, it sets a spacing of 0 to 1 and leaves out a
slope that is infinite. Sizes are bounded before anything is unpacked. Source: nifti1.h and nifti2.h.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample
from mlperf_docker.harness.models.unet3d import geometry
from mlperf_docker.harness.models.unet3d.geometry import Shape
from mlperf_docker.harness.system import data_files

UNITS = ("mm", "unknown")
"""KiTS19 is in millimetres; a header that does not say so is taken at its word."""
PLAUSIBLE_MM = (0.05, 20.0)
"""Spacings outside are in another unit, whatever the header says."""
MOST_VOXELS = 400_000_000
"""Of a volume, in its file and resampled; KiTS19's largest one has 278 million."""
MOST_BYTES_A_BYTE = 1032
"""What deflate can make of one."""
NUMBERS = "iuf"
"""Kinds of types that voxels may have: neither colours nor complex numbers."""

_GZIP = b"\x1f\x8b"
_SIZES = {size.to_bytes(4, order): size for size in (348, 540) for order in ("little", "big")}
"""What a header begins with, and how long it is: NIfTI-1 and NIfTI-2."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """Size and spacing (millimetres) of a volume."""

    shape: Shape
    spacing: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layout of the voxels in a file, behind *offset* bytes: *count* of *shape*, the first axis running fastest."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float

    @property
    def bytes(self) -> int:
        """Of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The contents of a file that is compressed if its name says so. Raises BadSample for what is not or is damaged."""
    size = data_files.status(path).st_size
    with data_files.opened(path) as stream:
        if path.suffix != ".gz":
            yield stream
            return
        first = stream.read(4)
        stream.seek(0)
        if not size:
            raise BadSample("empty")
        if not first.startswith(_GZIP):
            plain = "not compressed, though its name says so: gzip it"
            raise BadSample(plain if first in _SIZES else f"no NIfTI file ({size} bytes)")
        try:
            with gzip.GzipFile(fileobj=stream, mode="rb") as unpacking:
                yield unpacking  # type: ignore[misc]
        except (OSError, EOFError, zlib.error) as error:
            raise BadSample(f"truncated or damaged ({size} bytes)") from error


def _parsed(path: Path) -> Any:  # noqa: ANN401 (nibabel comes without types)
    """The header as it stands in the file. Raises BadSample."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError

    size = data_files.status(path).st_size
    with _unpacked(path) as stream:
        block = stream.read(540)
    length = _SIZES.get(block[:4], 0)
    if not length or len(block) < length:
        raise BadSample(f"no NIfTI file ({size} bytes)" if size else "empty")
    try:
        header = (Nifti1Header if length == 348 else Nifti2Header)(block[:length], check=False)
    except (HeaderDataError, ValueError) as error:
        raise BadSample(f"no NIfTI file ({size} bytes)") from error
    if header["magic"].item() not in (b"n+1", b"n+2"):
        raise BadSample("a header without voxels: they are in another file")
    return header


def _layout(header: Any, path: Path) -> _Layout:  # noqa: ANN401
    """Where the voxels are and what. Raises BadSample for what cannot be, also for more than the file can hold."""
    from nibabel.spatialimages import HeaderDataError

    axes = int(header["dim"][0])
    shape = tuple(int(length) for length in header["dim"][1 : 1 + axes])
    if axes != 3:
        raise BadSample(f"{axes} axes {list(shape)} and not three")
    if min(shape) < 1:
        raise BadSample(f"no voxels: its shape is {list(shape)}")
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError) as error:
        raise BadSample(f"its voxels are of a type that NIfTI does not have: {header['datatype']}") from error
    if dtype.kind not in NUMBERS:
        raise BadSample(f"its voxels are no numbers, but {dtype}")
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise BadSample(f"its voxels have {header['bitpix']} bits and are {dtype}, which cannot both be")
    slope, intercept, offset = (float(header[key]) for key in ("scl_slope", "scl_inter", "vox_offset"))
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise BadSample(f"its voxels times {slope:g} plus {intercept:g} are no numbers")
    if not (offset.is_integer() and offset >= header.template_dtype.itemsize):
        raise BadSample(f"its voxels cannot begin at byte {offset:g}")
    found = _Layout(shape, dtype, int(offset), slope, intercept)
    _check_size(found, path)
    return found


def _check_size(layout: _Layout, path: Path) -> None:
    voxels, size = math.prod(layout.shape), data_files.status(path).st_size
    if layout.offset + layout.bytes > size * (MOST_BYTES_A_BYTE if path.suffix == ".gz" else 1):
        raise BadSample(f"shorter than its header says: {size} bytes cannot hold {list(layout.shape)} voxels")
    if voxels > MOST_VOXELS:
        raise BadSample(f"{voxels} voxels, more than the {MOST_VOXELS} that a volume can have")


def read_header(path: Path) -> NiftiHeader:
    """Size and spacing. Raises BadSample if this is no volume in millimetres."""
    header = _parsed(path)
    depth, height, width = _layout(header, path).shape
    try:
        unit = header.get_xyzt_units()[0]
    except (KeyError, ValueError):
        unit = "a unit that NIfTI does not have"
    if unit not in UNITS:
        raise BadSample(f"its spacing is in {unit}, not in mm")
    z, y, x = header["pixdim"][1:4].tolist()
    low, high = PLAUSIBLE_MM
    if not all(math.isfinite(each) and low <= each <= high for each in (z, y, x)):
        raise BadSample(f"a spacing of {z:g} x {y:g} x {x:g} cannot be in mm")
    found = NiftiHeader((depth, height, width), (z, y, x))
    resampled = geometry.resampled(found.shape, found.spacing)
    if not 0 < geometry.voxels(resampled) <= MOST_VOXELS:
        raise BadSample(f"a spacing of {z:g} x {y:g} x {x:g} mm cannot be: {list(resampled)} voxels once resampled")
    return found


def read_image(path: Path) -> NDArray[np.float32]:
    """The voxels, as float32. Raises BadSample for a damaged file, or voxels that are no numbers."""
    voxels = _scaled(path)
    with np.errstate(invalid="ignore"):
        total = voxels.sum(dtype=np.float64)
    if not np.isfinite(total):
        count = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        raise BadSample(f"{count} voxels are not finite numbers")
    return voxels


def read_labels(path: Path) -> NDArray[np.uint8]:
    """The voxels, each 0, 1 or 2. Raises BadSample for a damaged file, or others."""
    voxels = _scaled(path)
    labels = np.zeros(voxels.shape, dtype=np.uint8)
    for label in (1, 2):
        labels[voxels == label] = label
    if not np.array_equal(labels, voxels):
        raise BadSample(f"{int(np.count_nonzero(labels != voxels))} voxels are neither 0, 1 nor 2")
    return labels


def _scaled(path: Path) -> NDArray[np.float32]:
    """All voxels; the header's slope and intercept, if it has any, are applied in float64, plane by plane.

    The same values as nibabel's `get_fdata().astype(float32)`, which takes twelve bytes a voxel on the way.
    """
    layout = _layout(_parsed(path), path)
    raw = _raw(path, layout)
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is looked for afterwards
        if layout.slope == 0 or (layout.slope, layout.intercept) == (1.0, 0.0):
            return raw.astype(np.float32)
        voxels = np.empty(raw.shape, dtype=np.float32, order="F")
        for plane in range(raw.shape[-1]):
            voxels[..., plane] = raw[..., plane].astype(np.float64) * layout.slope + layout.intercept
    return voxels


def _raw(path: Path, layout: _Layout) -> NDArray[Any]:
    """The voxels as they stand there, to the end of the file, so that gzip compares its checksum."""
    space = np.empty(layout.bytes, dtype=np.uint8)
    with _unpacked(path) as stream:
        left = layout.offset
        while left and (skipped := stream.read(min(left, _BLOCK))):
            left -= len(skipped)
        done = 0
        while done < len(space) and (data := stream.read(min(len(space) - done, _BLOCK))):
            space[done : done + len(data)] = np.frombuffer(data, dtype=np.uint8)
            done += len(data)
        if done < len(space):
            raise BadSample(f"truncated: {done} of the {len(space)} bytes that its voxels have")
        if stream.read(1):
            raise BadSample(f"more follows the {len(space)} bytes of the {list(layout.shape)} voxels of its header")
    return space.view(layout.dtype).reshape(layout.shape, order="F")
