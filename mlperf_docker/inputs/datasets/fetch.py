"""`data fetch`: download of a data set into its folder, as far as it can be downloaded."""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.catalog.spec import ITEM, DatasetFile, DatasetSeries, DatasetSpec
from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.display.progress import Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import DatasetError
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.checksums import Checksum
from mlperf_docker.inputs.datasets import location, unpacking
from mlperf_docker.inputs.download import mirror
from mlperf_docker.inputs.download.many import fetch_each
from mlperf_docker.inputs.download.one import fetch, is_there
from mlperf_docker.inputs.download.wanted import Wanted
from mlperf_docker.system import exclusive, folders, paths

_ITEM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class DatasetRequest:
    """Request of `data fetch`."""

    dataset: DatasetSpec
    model: str
    """One that the data set is for."""
    folder: Path | None = None
    """None for the data set's own place."""
    part: str | None = None
    """The only file or series; None for all that are not optional."""
    url: str | None = None
    """A mirror that has the folder's files as they are there; None for the official addresses."""
    jobs: int = 8
    """Files at a time."""


@dataclass(frozen=True)
class FetchedPart:
    """A file or a series in its place."""

    name: str
    files: int
    """Number of files."""
    new: int
    """Number of files that were not there before."""
    size_bytes: int
    """Size of all files."""
    verified: bool
    """True if each file has the checksum that was published; False if none was."""


@dataclass(frozen=True)
class FetchedDataset:
    """The folder with its parts."""

    dataset: DatasetSpec
    folder: Path
    parts: tuple[FetchedPart, ...]
    usable: bool
    """True if `run` and `data verify` accept the folder as it is."""
    next: str
    """Next command for the user."""

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.dataset.name,
            "path": str(self.folder),
            "parts": [asdict(part) for part in self.parts],
            "usable": self.usable,
            "next": self.next,
        }


class NeedsAccountError(DatasetError):
    """A file that nobody gets without an account is not there."""

    def __init__(self, dataset: DatasetSpec, file: DatasetFile, folder: Path) -> None:
        self.dataset, self.file = dataset, file
        super().__init__(
            f"{file.name} of {dataset.title} cannot be fetched: {dataset.source} gives it only to those who have an"
            " account there and accepted its terms.",
            hint=f"Get it there, put it at {folder / file.target}, and give this command again: it verifies and unpacks"
            " it, and fetches the rest. A mirror of your own serves as well: --url URL. A run without the data set:"
            " --synthetic tiny",
        )


def fetch_dataset(request: DatasetRequest, display: Display) -> FetchedDataset:
    """Bring the data set into its folder; what is there already is left alone, and what began is gone on with.

    Raises UsageError where the request cannot be meant, DatasetError, DownloadError with the same exit code, and
    Interrupted.
    """
    folder = _folder(request)
    files, series = _choose(request)
    for file in files:
        if file.account and not request.url and not _is_here(file, folder):
            raise NeedsAccountError(request.dataset, file, folder)
    _require_space(files, series, folder)
    parts = [_fetch_file(file, folder, request, display) for file in files]
    parts += [_fetch_series(each, folder, request, display) for each in series]
    return _outcome(request, folder, tuple(parts))


def _folder(request: DatasetRequest) -> Path:
    """Return the absolute folder; the data set's own place is made where it is missing. Raises UsageError."""
    folder = paths.resolved(request.folder or location.fetch_place(request.dataset))
    if request.folder is None:
        folders.make(folder, "as DIR")
    folders.require_writable(folder, "as DIR")
    return folder


def _choose(request: DatasetRequest) -> tuple[list[DatasetFile], list[DatasetSeries]]:
    """Return the files and series that are meant. Raises UsageError."""
    dataset = request.dataset
    if request.part:
        files = [file for file in dataset.files if file.name == request.part]
        series = [each for each in dataset.series if each.name == request.part]
        if not files and not series:
            known = [*(file.name for file in dataset.files), *(each.name for each in dataset.series)]
            raise UnknownNameError(f"file of {dataset.name}", request.part, known)
    else:
        files, series = [file for file in dataset.files if not file.optional], list(dataset.series)
    if request.url:
        many = bool(series) or len(files) > 1
        mirror.check(request.url, several=f"{dataset.name} has several" if many else None)
    return files, series


def _is_here(file: DatasetFile, folder: Path) -> bool:
    """Tell whether *file*, or all that came out of it, lies in its place; nothing is read."""
    return (folder / file.target).is_file() or (
        file.archive is not None and unpacking.is_unpacked(folder, file.name, _identity(file))
    )


def _identity(file: DatasetFile) -> str | None:
    checksum = checksums.published(file)
    return str(checksum) if checksum else None


def _require_space(files: Sequence[DatasetFile], series: Sequence[DatasetSeries], folder: Path) -> None:
    """Raise DatasetError where the disk cannot hold what is missing, as far as its size is known.

    Each download looks again at what the server says, and each archive at what is in it.
    """
    missing = 0
    for file in files:
        if file.size_bytes is not None and not _is_here(file, folder):
            missing += file.size_bytes * (1 if file.archive is None else 2) - _size(folder / f"{file.target}.partial")
    for each in series:
        paths = [folder / each.path.replace(ITEM, item) for item in each.items]
        absent = [path for path in paths if not path.is_file()]
        if each.size_bytes is not None and absent:
            begun = sum(_size(path.with_name(f"{path.name}.partial")) for path in absent)
            missing += each.size_bytes * len(absent) // len(paths) - begun
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise DatasetError(
            f"The disk of {folder} has no room: about {readable(missing)} are to come, and {readable(free)} are free.",
            hint="Free some, or name another folder as DIR; what is there already counts, and is not fetched again.",
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _fetch_file(file: DatasetFile, folder: Path, request: DatasetRequest, display: Display) -> FetchedPart:
    """Bring one file to its place, and unpack it if it is an archive, unless all that came out of it is there."""
    target, checksum = folder / file.target, checksums.published(file)
    if file.archive is not None and unpacking.is_unpacked(folder, file.name, _identity(file)):
        return FetchedPart(file.name, 1, 0, _size(target), verified=checksum is not None)
    _make(target.parent)
    wanted = _wanted(file.target, file.urls, checksum, folder, request)
    if file.account and not request.url:
        _require_right(wanted, display)
        new = False
    else:
        fetched = fetch(wanted, display)
        new = fetched.url is not None or fetched.resumed_bytes > 0
    if file.archive is not None:
        with exclusive.folder(folder):
            if not unpacking.is_unpacked(folder, file.name, _identity(file)):
                unpacking.unpack(target, file.archive, file.members, folder, _identity(file), display)
    return FetchedPart(file.name, 1, int(new), _size(target), verified=checksum is not None)


def _require_right(wanted: Wanted, display: Display) -> None:
    """Raise DatasetError unless the file that the user put there is the right one."""
    if not is_there(wanted, display):
        raise DatasetError(
            f"{wanted.target} ({_size(wanted.target):,} bytes) is not the official file: its {wanted.checksum} was"
            " expected. It is damaged, cut off, or another file of the same name.",
            hint="Get it again from where you have it, and put it there.",
        )


def _fetch_series(series: DatasetSeries, folder: Path, request: DatasetRequest, display: Display) -> FetchedPart:
    items = series.items or _listed(folder, str(series.listed_in), request)
    wanted = []
    for item in items:
        path = series.path.replace(ITEM, item)
        md5 = series.md5s.get(item)
        urls = tuple(url.replace(ITEM, item) for url in series.urls)
        wanted.append(_wanted(path, urls, Checksum("md5", md5) if md5 else None, folder, request))
    for parent in {each.target.parent for each in wanted}:
        _make(parent)
    totals = fetch_each(f"{series.name} of {request.dataset.name}", wanted, display, jobs=request.jobs)
    verified = all(each.checksum is not None for each in wanted)
    return FetchedPart(series.name, totals.here, totals.new, totals.size_bytes, verified)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"The folder {folder} cannot be made: {error.strerror}.",
            hint="Move away what is there, check the permissions, or name another folder as DIR.",
        ) from error


def _wanted(
    path: str, urls: tuple[str, ...], checksum: Checksum | None, folder: Path, request: DatasetRequest
) -> Wanted:
    """Return the download of what belongs at *path* below the folder, which is also where a mirror has it."""
    return Wanted(
        path,
        folder / path,
        (mirror.address(request.url, path),) if request.url else urls,
        checksum,
        private=bool(request.url),
        exit_code=ExitCode.DATASET,
        folder_option="DIR",
    )


def _listed(folder: Path, path: str, request: DatasetRequest) -> tuple[str, ...]:
    """Return the file names of the images that the annotations at *path* list, each once. Raises DatasetError."""
    place = folder / path
    try:
        names = [image["file_name"] for image in json.loads(place.read_bytes())["images"]]
    except FileNotFoundError as error:
        raise DatasetError(
            f"{place} is not there, and says which files to fetch.",
            hint=f"Fetch it first, or all of the data set: {_command(request, folder)}",
        ) from error
    except OSError as error:
        raise DatasetError(f"{place} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, LookupError) as error:
        raise DatasetError(
            f"{place} is no list of images in COCO's format: {error!r}.",
            hint=f"Move it away, and fetch it again: {_command(request, folder)}",
        ) from error
    odd = [name for name in names if not isinstance(name, str) or not _ITEM_NAME.fullmatch(name)]
    if odd or not names:
        what = f"{len(odd)} of its images have no plain file name, like {odd[0]!r}" if odd else "it lists no image"
        raise DatasetError(f"{place} cannot be followed: {what}.", hint="Move it away, and fetch it again.")
    return tuple(dict.fromkeys(names))


def _outcome(request: DatasetRequest, folder: Path, parts: tuple[FetchedPart, ...]) -> FetchedDataset:
    """Say what the folder is good for now, and which command comes next."""
    dataset = request.dataset
    if request.part:
        return FetchedDataset(dataset, folder, parts, usable=False, next=_command(request, folder))
    if dataset.convert:
        where = f" --from {folder} --to ANOTHER-DIR" if request.folder else ""
        after = f"mlperf-docker data convert {request.model}{where}"
        return FetchedDataset(dataset, folder, parts, usable=False, next=after)
    location.check_folder(dataset, folder)
    return FetchedDataset(dataset, folder, parts, usable=True, next=_command(request, folder, "verify"))


def _command(request: DatasetRequest, folder: Path, verb: str = "fetch") -> str:
    named = f" {folder}" if request.folder else ""
    return f"mlperf-docker data {verb} {request.dataset.name}{named}"
