"""Preprocessing of KiTS19, value for value as upstream's preprocess.py.

Volumes are cached as float32 and marks as uint8, each set in one file that runs map into memory: nothing is copied, and
the kernel may take the pages back where memory is short.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import BadSample
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.unet3d import geometry, nifti
from mlperf_docker.harness.models.unet3d.dataset import IMAGING, SEGMENTATION, KiTS19
from mlperf_docker.harness.samples.kept import KeptSamples, Several
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.samples.preprocessing import cached
from mlperf_docker.harness.system.resources import free_memory

VOLUMES, MARKS = "kits19-volumes-1", "kits19-marks-1"
"""Part of the cache's keys. Count them up when the values change."""

LOWEST, HIGHEST = -79.0, 304.0
"""Hounsfield units; values beyond are cut off."""
MEAN, DEVIATION = 101.0, 76.9
PADDING = -2.2
PAGE = 4096 // 4
"""Values on a page of memory."""
BYTES_A_VOXEL = 12
"""Memory that a process takes for each voxel of the file and of the resampled volume: float64 as read, and float32."""


def resample(volume: NDArray[Any], spacing: Sequence[float], order: int) -> NDArray[Any]:
    """*volume* at the spacing of all, as scipy interpolates it; one whose shape stays the same is given back.

    There scipy would read every voxel at its own place, so that nothing changes.
    """
    from scipy import ndimage

    factors = geometry.zoom_factors(tuple(spacing))
    if tuple(round(n * factor) for n, factor in zip(volume.shape, factors, strict=True)) == volume.shape:
        return volume
    options = {"order": order, "mode": "constant", "cval": volume.min(), "grid_mode": False}
    zoomed: NDArray[Any] = ndimage.zoom(volume, factors, **options)
    return zoomed


def normalise(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Hounsfield units to about -2.3..2.6, in float32 and in place."""
    np.clip(volume, np.float32(LOWEST), np.float32(HIGHEST), out=volume)
    volume -= np.float32(MEAN)
    volume /= np.float32(DEVIATION)
    return volume


def place(volume: NDArray[Any], out: NDArray[Any], padding: float) -> None:
    """Write *volume* into the middle of *out*, its ends repeated or cut, *padding* around it."""
    axes = [geometry.fit(length) for length in volume.shape]
    if any(sum(axis.edge) for axis in axes):
        volume = np.pad(volume, [axis.edge for axis in axes], mode="edge")
    out.fill(padding)
    inner = tuple(slice(axis.pad[0], axis.length - axis.pad[1]) for axis in axes)
    out[inner] = volume[tuple(slice(axis.start, axis.stop) for axis in axes)]


class _CaseReader:
    """Reader of the files of a case."""

    def __init__(self, folders: Sequence[Path], headers: Sequence[nifti.NiftiHeader]) -> None:
        self._folders = folders
        self._headers = headers

    def prepare(self) -> None:
        """Import what reading needs."""
        import nibabel  # noqa: F401
        import scipy.ndimage  # noqa: F401

    def image(self, index: int) -> NDArray[np.float32]:
        """The volume in the file. Raises BadSample."""
        try:
            return nifti.read_image(self._folders[index] / IMAGING)
        except BadSample as problem:
            raise BadSample(f"{IMAGING}: {problem}") from problem

    def labels(self, index: int) -> NDArray[np.uint8]:
        """The marks in the file. Raises BadSample."""
        try:
            return nifti.read_labels(self._folders[index] / SEGMENTATION)
        except BadSample as problem:
            raise BadSample(f"{SEGMENTATION}: {problem}") from problem


class VolumeReader(_CaseReader):
    """Makes one volume, float32."""

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write volume *index* into *out*. Raises BadSample."""
        volume = resample(self.image(index), self._headers[index].spacing, order=1)
        place(normalise(volume), out, PADDING)


class MarkReader(_CaseReader):
    """Makes one case's marks, uint8; they are resampled with the volume's spacing, like upstream's."""

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write the marks of case *index* into *out*. Raises BadSample."""
        place(resample(self.labels(index), self._headers[index].spacing, order=0), out, 0)


class CaseChecker(_CaseReader):
    """Reads both files of a case to the end and makes nothing of them."""

    def read(self, index: int, out: NDArray[Any]) -> None:  # noqa: ARG002
        """Raise BadSample, with the reason, if one is damaged."""
        self.image(index)
        self.labels(index)


class Volumes:
    """The preprocessed cases: what LoadGen's samples stand for, and what they are scored against."""

    lengths: NDArray[np.int64] | None = None
    """None: a sample is its index, so all are of one length."""
    joined: Joined = Joined.PADDED

    def __init__(self, dataset: KiTS19, volumes: Several, marks: Several) -> None:
        self.names = dataset.names
        self.volumes: Several = volumes
        self.marks: Several = marks

    @property
    def count(self) -> int:
        """How many cases there are."""
        return len(self.volumes)

    @property
    def bytes(self) -> int:
        """Of all volumes."""
        return 4 * sum(map(geometry.voxels, self.shapes))

    @property
    def shapes(self) -> Sequence[tuple[int, int, int]]:
        """Of the volumes; those in the cache are not read for it."""
        found = (
            self.volumes.shapes if isinstance(self.volumes, KeptSamples) else [volume.shape for volume in self.volumes]
        )
        return [(depth, height, width) for depth, height, width in found]

    def load(self, indices: Sequence[int]) -> Arrays:
        """Numbers of these cases, (n, 1) int64; the volumes, of many shapes, are read into memory and stay there."""
        for index in indices:
            self.volumes[index].reshape(-1)[::PAGE].max()
        return (np.array(indices, dtype=np.int64).reshape(-1, 1),)


def volume_job(dataset: KiTS19) -> Preparation:
    """Make all volumes."""
    return _job(dataset, VOLUMES, "float32", VolumeReader(dataset.folders, dataset.headers))


def mark_job(dataset: KiTS19) -> Preparation:
    """Make all marks."""
    return _job(dataset, MARKS, "uint8", MarkReader(dataset.folders, dataset.headers))


def check_job(dataset: KiTS19) -> Preparation:
    """Read every file."""
    reader = CaseChecker(dataset.folders, dataset.headers)
    return Preparation(
        dataset.identity, "kits19-read", dataset.names, dataset.sizes, (0,), "uint8", reader, files(dataset), chunk=1
    )


def _job(dataset: KiTS19, version: str, dtype: str, reader: VolumeReader | MarkReader) -> Preparation:
    shapes = dataset.shapes
    return Preparation(
        dataset.identity, version, dataset.names, dataset.sizes, (), dtype, reader, files(dataset), shapes, chunk=1
    )


def files(dataset: KiTS19) -> list[tuple[str, ...]]:
    """What each case is made of: the marks are resampled with the volume's spacing, so it is both."""
    return [(str(folder / IMAGING), str(folder / SEGMENTATION)) for folder in dataset.folders]


def affordable(dataset: KiTS19, workers: int) -> int:
    """How many of *workers* processes memory has room for, at least one: each holds a whole case, or two."""
    largest = max(
        geometry.voxels(header.shape) + geometry.voxels(geometry.resampled(header.shape, header.spacing))
        for header in dataset.headers
    )
    return max(1, min(workers, free_memory() // (BYTES_A_VOXEL * largest)))


def prepare(dataset: KiTS19, cache: Path, *, workers: int, report: Report) -> Volumes:
    """The cases, preprocessed where the cache lacks them. Raises DatasetError, naming those that are damaged."""
    workers = affordable(dataset, workers)
    jobs = (volume_job(dataset), mark_job(dataset))
    return Volumes(dataset, *(cached(job, cache, workers=workers, report=report) for job in jobs))
