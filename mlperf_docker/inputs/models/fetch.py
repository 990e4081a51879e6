"""`models fetch`: selection of official files, and their download one after the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.selector import UnknownNameError
from mlperf_docker.catalog.spec import ModelSpec
from mlperf_docker.contract.words import Precision
from mlperf_docker.display.progress import Display
from mlperf_docker.errors import UsageError
from mlperf_docker.inputs.download import mirror
from mlperf_docker.inputs.download.one import fetch
from mlperf_docker.inputs.download.wanted import Fetched, FetchError, Wanted
from mlperf_docker.inputs.models.official_files import Official, no_official, officials, select
from mlperf_docker.system import folders, paths


@dataclass(frozen=True)
class ModelRequest:
    """Request of `models fetch`."""

    model: ModelSpec
    backend: str | None = None
    """None for the model's default one."""
    precision: Precision | None = None
    """None for fp32."""
    file: str | None = None
    """Name or checksum; None for the first that fits."""
    every: bool = False
    to: Path | None = None
    """None for the cache."""
    url: str | None = None
    """A mirror; None for the official addresses."""


@dataclass(frozen=True)
class Done:
    """An official file that is in its place."""

    official: Official
    fetched: Fetched

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        checksum, file = self.official.checksum, self.official.file
        return {
            "model": self.official.model.name,
            "backend": file.backend,
            "precision": file.precision,
            "format": file.format,
            "name": file.name,
            "path": str(self.fetched.path),
            "size_bytes": self.fetched.size_bytes,
            "checksum": str(checksum) if checksum else None,
            "verified": checksum is not None,
            "url": self.fetched.url,
            "resumed_bytes": self.fetched.resumed_bytes,
        }


@dataclass(frozen=True)
class FetchedModels:
    """Files that were fetched, and files that no address gave."""

    fetched: tuple[Done, ...]
    failures: tuple[FetchError, ...]

    def raise_failure(self) -> None:
        """Raise FetchError where something could not be fetched, with all of it in one message."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            total = len(self.fetched) + len(self.failures)
            lines = (f"{len(self.failures)} of {total} files could not be fetched.", *map(str, self.failures))
            hint = "Try again: what is here already is not fetched a second time."
            raise FetchError("\n".join(lines), hint=hint, exit_code=self.failures[0].exit_code)


def choose(request: ModelRequest) -> list[Official]:
    """Return the files that *request* means. Raises UsageError, and ModelFileError where nobody offers one."""
    backend, precision = request.backend, request.precision
    _check(request)
    known = officials(request.model, backend, precision, _folder(request))
    if request.file:
        chosen = list(select(known, request.file))
        if not chosen:
            raise UnknownNameError(f"file of {request.model.name}", request.file, [each.path.name for each in known])
        return chosen[:1]
    if not request.every:
        wanted = (backend or request.model.default_backend, precision or Precision.FP32)
        known = [each for each in known if (each.file.backend, each.file.precision) == wanted][:1]
    if not known:
        raise no_official(request.model, backend or request.model.default_backend, precision or Precision.FP32)
    return known


def fetch_all(chosen: list[Official], request: ModelRequest, display: Display) -> FetchedModels:
    """Fetch *chosen*. A file that no address gives does not keep the others from being fetched."""
    fetched, failures = [], []
    for official in chosen:
        try:
            fetched.append(Done(official, fetch(_wanted(official, request), display)))
        except FetchError as error:
            failures.append(error)
    return FetchedModels(tuple(fetched), tuple(failures))


def _wanted(official: Official, request: ModelRequest) -> Wanted:
    urls = (mirror.address(request.url, official.file.name),) if request.url else official.file.urls
    return Wanted(official.path.name, official.path, urls, official.checksum, private=bool(request.url))


def _check(request: ModelRequest) -> None:
    if request.every and request.file:
        raise UsageError("--all and --file exclude each other.")
    if request.url:
        mirror.check(request.url, several="--all may mean several" if request.every else None)


def _folder(request: ModelRequest) -> Path:
    if request.to is None:
        return paths.made(paths.models_dir(request.model.name))
    folder = paths.resolved(request.to)
    folders.require_writable(folder, "with --to DIR")
    return folder
