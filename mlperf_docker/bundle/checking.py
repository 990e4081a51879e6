"""Check of a bundle: every file against its manifest."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle.manifest import File, Manifest
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import archive
from mlperf_docker.errors import BundleError
from mlperf_docker.inputs import checksums


def check(folder: Path, display: Display) -> Manifest:
    """Read the whole bundle in *folder* and return its manifest. Raises BundleError with everything that is wrong."""
    manifest = manifests.read(folder)
    display.phase("verify")
    findings = list(_findings(folder, manifest, display))
    if not findings:
        findings = list(_archive_findings(folder, manifest))
    if findings:
        raise BundleError(
            "\n  ".join((f"The bundle in {folder} is damaged:", *findings)),
            hint="Copy it again from where it was written; mlperf-docker bundle verify tells whether a copy is whole.",
        )
    return manifest


def _findings(folder: Path, manifest: Manifest, display: Display) -> Iterator[str]:
    report = _following(manifest.size_bytes, manifest.files, display)
    for file in manifest.files:
        finding = _finding(folder / file.path, file, report(file))
        if finding:
            yield f"{file.path}: {finding}"


def _following(total: int, files: Iterable[File], display: Display) -> Callable[[File], Callable[[int, int], None]]:
    """Return what makes, of a file, the report of the bytes done in all files."""
    before, done = {}, 0
    for file in files:
        before[file.path] = done
        done += file.size_bytes
    return lambda file: lambda read, _: display.progress(before[file.path] + read, total, "bytes")


def _finding(path: Path, file: File, report: Callable[[int, int], None]) -> str:
    """Return what is wrong with *file*, or nothing. Its size tells quicker than its checksum."""
    try:
        size = path.stat().st_size
        if size != file.size_bytes:
            return f"{size:,} bytes instead of {file.size_bytes:,}: cut off, or another file"
        found = checksums.of(path, ("sha256",), report)["sha256"]
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found == file.sha256 else f"sha256 {found} instead of {file.sha256}"


def _archive_findings(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Compare what the archive holds with the cells: loading it must give these names, and no others."""
    try:
        held = archive.tags_in(folder / manifests.IMAGES)
    except archive.NoArchiveError as error:
        yield f"{manifests.IMAGES}: {error}"
        return
    wanted = {cell.tag for cell in manifest.cells}
    yield from (f"{manifests.IMAGES}: does not hold {tag}" for tag in sorted(wanted - held))
    yield from (f"{manifests.IMAGES}: holds {tag}, which is no cell of the bundle" for tag in sorted(held - wanted))
