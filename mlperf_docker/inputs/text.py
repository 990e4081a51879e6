"""Model files and data sets as text for people, and as fields for programs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlperf_docker.catalog.spec import DatasetFile, DatasetSeries, DatasetSpec
from mlperf_docker.display.sizes import readable
from mlperf_docker.display.tables import fact_lines
from mlperf_docker.errors import FolderError
from mlperf_docker.inputs.datasets import location
from mlperf_docker.inputs.datasets.location import DatasetFound
from mlperf_docker.inputs.models.official_files import Official, size_text

if TYPE_CHECKING:
    from mlperf_docker.inputs.datasets.fetch import FetchedDataset


OFFICIAL_HEADER = ("model", "backend", "precision", "format", "state", "size", "checksum", "note", "path")
OFFICIAL_ORDER = ("model", "backend", "state", "size", "precision", "format", "note", "checksum", "path")
"""The same by importance."""


def official_line(official: Official) -> tuple[str, ...]:
    """One row of `models list`, in the order of OFFICIAL_HEADER. No size is published, so only a file here has one."""
    file, checksum = official.file, official.checksum
    return (
        official.model.name,
        file.backend,
        file.precision,
        file.format,
        official.state,
        size_text(official.path),
        f"{checksum.algorithm} {checksum.value[:8]}…" if checksum else "-",
        file.note.partition(";")[0] or "-",
        str(official.path),
    )


def official_fields(official: Official) -> dict[str, Any]:
    """The same for programs, with everything that the catalog knows of the file."""
    file, path = official.file, official.path
    return {
        "model": official.model.name,
        "backend": file.backend,
        "precision": file.precision,
        "format": file.format,
        "name": file.name,
        "urls": list(file.urls),
        "md5": file.md5,
        "sha256": file.sha256,
        "reported": file.reported,
        "note": file.note,
        "first": official.first,
        "path": str(path),
        "state": official.state,
        "size_bytes": path.stat().st_size if path.is_file() else None,
    }


def dataset_text(dataset: DatasetSpec, models: Sequence[str]) -> str:
    """One data set of `data list`, a line per fact."""
    facts = [
        ("Data set", f"{dataset.name}: {dataset.title}"),
        ("For", ", ".join(models)),
        ("Samples", str(dataset.count)),
        ("Source", dataset.source),
        ("Licence", dataset.licence),
        ("Marker", f"{dataset.marker}, which its folder must have"),
        *((("Note", dataset.note),) if dataset.note else ()),
        *(("File", _file_text(each)) for each in dataset.files),
        *(("Series", _series_text(each)) for each in dataset.series),
        ("Fetch", f"mlperf-docker data fetch {dataset.name} [DIR]"),
        ("Place", _place_text(dataset)),
    ]
    return fact_lines(facts, 10)


def _place_text(dataset: DatasetSpec) -> str:
    try:
        return f"{location.place(dataset)}, unless DIR is named"
    except FolderError as error:
        return f"none without DIR. {error}"


def _file_text(file: DatasetFile) -> str:
    unpacked = f"unpacked to {', '.join(file.members.values())}" if file.members else "unpacked"
    facts = (
        "needs an account" if file.account else "",
        "optional" if file.optional else "",
        unpacked if file.archive else "",
        file.note,
    )
    return f"{file.name} {file.urls[0]}{_in_brackets(facts)}"


def _series_text(series: DatasetSeries) -> str:
    count = f"{len(series.items)} files" if series.items else f"those in {series.listed_in}"
    return f"{series.name} {series.urls[0]}{_in_brackets((count, series.note))}"


def _in_brackets(facts: Iterable[str]) -> str:
    said = "; ".join(fact for fact in facts if fact)
    return f" ({said})" if said else ""


def fetched_text(outcome: "FetchedDataset") -> str:
    """What `data fetch` did, and the command that comes next."""
    new, size = sum(part.new for part in outcome.parts), sum(part.size_bytes for part in outcome.parts)
    names = ", ".join(f"{part.name} ({part.files})" if part.files > 1 else part.name for part in outcome.parts)
    fetched = f"{new} new" if new else "all of it was there"
    unverified = ", ".join(part.name for part in outcome.parts if not part.verified)
    lines = (
        f"{outcome.dataset.title} at {outcome.folder}: {names}; {readable(size)}, {fetched}.",
        f"Not verified, as nobody published checksums: {unverified}." if unverified else "",
        f"Next: {outcome.next}",
    )
    return "\n".join(line for line in lines if line)


def dataset_fields(dataset: DatasetSpec, models: Sequence[str]) -> dict[str, Any]:
    """The same for programs."""
    return {**dataset.model_dump(mode="json"), "models": list(models)}


def verified_text(dataset: DatasetSpec, found: DatasetFound) -> str:
    """What `data verify` found, one line for the verdict and one for each fact."""
    if found.samples is None:
        return f"{dataset.title} seems to be at {found.path}: {dataset.marker} is there. Nothing else was read."
    whole = "" if found.samples == dataset.count else f", of {dataset.count} in the whole set"
    facts = [f"  {name}: {value}" for name, value in found.facts.items()]
    return "\n".join((f"{dataset.title} at {found.path}: {found.samples} samples{whole}; all can be read.", *facts))
