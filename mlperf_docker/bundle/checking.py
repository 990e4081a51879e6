"""Check of a bundle: every file against its manifest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle import oci
from mlperf_docker.bundle.kinds import IMAGES, LAYOUT, ImageKind
from mlperf_docker.bundle.manifest import File, Manifest
from mlperf_docker.display.progress import Display
from mlperf_docker.engine import archive
from mlperf_docker.errors import BundleError
from mlperf_docker.inputs import checksums


def check(folder: Path, display: Display) -> Manifest:
    """Read the whole bundle in *folder* and return its manifest. Raises BundleError with everything that is wrong."""
    manifest = manifests.read(folder)
    display.phase("verify")
    require_whole(folder, manifest.files, display)
    _require_none(folder, [each for kind in manifest.kinds for each in _FINDINGS[kind](folder, manifest, kind)])
    return manifest


def require_whole(folder: Path, files: Sequence[File], display: Display) -> None:
    """Read *files* of the bundle in *folder*. Raises BundleError with everything that is wrong."""
    _require_none(folder, list(_findings(folder, files, display)))


def _require_none(folder: Path, findings: list[str]) -> None:
    if findings:
        raise BundleError(
            "\n  ".join((f"The bundle in {folder} is damaged:", *findings)),
            hint="Copy it again from where it was written; mlperf-docker bundle verify tells whether a copy is whole.",
        )


def _findings(folder: Path, files: Sequence[File], display: Display) -> Iterator[str]:
    report = _following(sum(file.size_bytes for file in files), files, display)
    for file in files:
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


def _archive_findings(folder: Path, manifest: Manifest, kind: ImageKind) -> Iterator[str]:
    """Compare what the archive holds with the cells: loading it must give these names, and no others."""
    try:
        held = archive.tags_in(folder / kind.place(""))
    except archive.NoArchiveError as error:
        yield f"{IMAGES}: {error}"
        return
    yield from _differences(IMAGES, {cell.tag for cell in manifest.cells}, held)


def _layout_findings(folder: Path, manifest: Manifest, kind: ImageKind) -> Iterator[str]:
    """Compare what the OCI layout holds with the cells, and its blobs with the files of the manifest."""
    try:
        held = oci.manifests(folder / kind.place(""))
        needed = {each["digest"] for found in held.values() for each in (found["config"], *found["layers"])}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield f"{LAYOUT}: is no OCI layout ({error!r})"
        return
    listed = {f"sha256:{file.name}" for file in manifest.files if file.path.startswith(f"{LAYOUT}/blobs/")}
    yield from _differences(LAYOUT, {cell.name for cell in manifest.cells}, set(held))
    yield from (f"{LAYOUT}: lacks the blob {digest}" for digest in sorted(needed - listed))


def _file_findings(_folder: Path, manifest: Manifest, kind: ImageKind) -> Iterator[str]:
    """Compare the files of a kind, one for each image, with the cells."""
    held = {file.name for file in manifest.files if file.path.startswith(f"{kind.value}/")}
    yield from _differences(kind.value, {Path(kind.place(cell.name)).name for cell in manifest.cells}, held)


def _differences(what: str, wanted: set[str], held: set[str]) -> Iterator[str]:
    yield from (f"{what}: does not hold {name}" for name in sorted(wanted - held))
    yield from (f"{what}: holds {name}, which is no cell of the bundle" for name in sorted(held - wanted))


_FINDINGS = {
    ImageKind.DOCKER: _archive_findings,
    ImageKind.OCI: _layout_findings,
    ImageKind.SIF: _file_findings,
    ImageKind.SQSH: _file_findings,
}
