"""KiTS19 as its repository lays it out: a folder for each case, with the volume and what people marked in it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.api.errors import BadSample, DatasetError, first_ten
from mlperf_docker.harness.models.unet3d import cases, geometry, nifti

FOLDERS = ("data", ".")
IMAGING, SEGMENTATION = "imaging.nii.gz", "segmentation.nii.gz"

_HINT = "The marks are in github.com/neheller/kits19; its starter_code.get_imaging fetches the volumes."


@dataclass(frozen=True, slots=True)
class KiTS19:
    """Cases whose two files are there and fit each other. The position in *names* is the sample's index."""

    names: tuple[str, ...]
    folders: tuple[Path, ...]
    """Folder of each case."""
    headers: tuple[nifti.NiftiHeader, ...]
    """Header of each volume."""
    sizes: tuple[int, ...]
    """Bytes of each case's files together."""
    identity: str
    """A digest over names, sizes and times; the same files at another path have the same identity."""

    @property
    def count(self) -> int:
        """How many cases there are."""
        return len(self.names)

    @property
    def shapes(self) -> tuple[geometry.Shape, ...]:
        """Of each volume once it is preprocessed."""
        return tuple(geometry.fitted(header.shape, header.spacing) for header in self.headers)


def _header(folder: Path) -> nifti.NiftiHeader:
    """What the headers of a case's files say. Raises BadSample if they do not fit each other."""
    if not folder.is_dir():
        raise BadSample("missing")
    found = []
    for name in (IMAGING, SEGMENTATION):
        try:
            found.append(nifti.read_header(folder / name))
        except BadSample as problem:
            raise BadSample(f"{name}: {problem}") from problem
    volume, marks = found
    if volume.shape != marks.shape:
        raise BadSample(f"{IMAGING} is {list(volume.shape)}, {SEGMENTATION} is {list(marks.shape)}")
    return volume


def open_kits19(root: Path, *, limit: int | None = None) -> KiTS19:
    """Look at every case's files (of the first *limit* ones), reading their headers.

    Raises DatasetError with every case that is missing, incomplete or cannot be right.
    """
    if not root.is_dir():
        raise DatasetError(f"there is no data set folder {root}")
    names = cases.listed(root)[:limit]
    folder = next((root / part for part in FOLDERS if any((root / part / name).is_dir() for name in names)), None)
    if folder is None:
        raise DatasetError(f"{root} is not KiTS19: it has neither data/{names[0]} nor another case", hint=_HINT)
    folders = tuple(cases.source(folder, name) for name in names)
    headers, problems = [], []
    for name, place in zip(names, folders, strict=True):
        try:
            headers.append(_header(place))
        except BadSample as problem:
            problems.append(f"{name}: {problem}")
    if problems:
        odd = [f"{name} is not called as a case: case_ and five digits" for name in cases.strange(folder)]
        raise DatasetError(
            f"{len(problems)} of {len(names)} cases are missing or cannot be right in {folder}",
            hint=_HINT,
            details=(*first_ten(problems), *first_ten(odd)),
        )
    return KiTS19(names, folders, tuple(headers), *_identity(names, folders))


def _identity(names: tuple[str, ...], folders: tuple[Path, ...]) -> tuple[tuple[int, ...], str]:
    """Bytes of each case's files, and the digest over all."""
    digest, sizes = hashlib.sha256(), []
    for name, folder in zip(names, folders, strict=True):
        found = [(folder / file).stat() for file in (IMAGING, SEGMENTATION)]
        sizes.append(sum(status.st_size for status in found))
        for status in found:
            digest.update(f"{name}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    return tuple(sizes), digest.hexdigest()
