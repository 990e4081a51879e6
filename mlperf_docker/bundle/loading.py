"""`bundle load`: images of a bundle into the engine, its model files into the cache."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker import __version__
from mlperf_docker.bundle import stored
from mlperf_docker.bundle.checking import check
from mlperf_docker.bundle.copying import copy
from mlperf_docker.bundle.manifest import BundledCell, File, Manifest
from mlperf_docker.bundle.stored import StoredImage
from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.engine import archive
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images, ImageStore
from mlperf_docker.errors import BundleError, EngineError, ModelFileError, UsageError
from mlperf_docker.inputs import checksums
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.identity import exact_tag
from mlperf_docker.recipe.origin import revision
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import recipe_named
from mlperf_docker.system import exclusive, paths


@dataclass(frozen=True)
class BundleRequest:
    """Request of `bundle load`."""

    folder: Path
    registry: str
    """Registry whose name the images get."""
    force: bool = False
    """Load also images that this version of the tool does not run, and replace model files that differ."""


@dataclass(frozen=True)
class LoadedBundle:
    """Images and model files that are on this host after `bundle load`."""

    tags: tuple[str, ...]
    """Tags of the images, under this host's registry."""
    model_files: tuple[Path, ...]
    """Paths in the cache."""


def load(client: Engine, catalog: Catalog, request: BundleRequest, display: Display) -> LoadedBundle:
    """Check the whole bundle, then load it; nothing is loaded where anything is wrong. What is here already stays.

    Raises BundleError for a damaged bundle, EngineError for images that the engine cannot run or take, UsageError for
    what this version of the tool would not run and for model files that would be replaced.
    """
    manifest = check(request.folder, display)
    require_platform(client, manifest.cells)
    if not request.force:
        _check_runnable(catalog, manifest, request.folder)
    missing = _missing_models(manifest, request)
    tags = _load_images(client, catalog, manifest, request, display)
    for file in missing:
        place(file, request.folder, display)
    for name in manifest.missing:
        display.say(f"Model file {name}: not in the bundle.")
    return LoadedBundle(tags, tuple(place_of(file) for file in manifest.model_files))


def require_platform(client: ImageStore, cells: Iterable[BundledCell]) -> None:
    """Raise EngineError unless the engine runs images of the platform of all *cells*."""
    about = client.version()
    here = f"{about['Os']}/{about['Arch']}"
    strange = [f"{cell.cell}: {cell.platform}" for cell in cells if cell.platform != here]
    if strange:
        raise EngineError(
            "\n  ".join((f"This engine runs images for {here}, and these are for another platform:", *strange)),
            hint="Write a bundle on a host of the same architecture.",
        )


def _check_runnable(catalog: Catalog, manifest: Manifest, folder: Path) -> None:
    """Raise UsageError unless `run` of this very tool looks for the images that the bundle has."""
    known = ((cell, recipe_named(catalog, cell.cell)) for cell in manifest.cells)
    findings = [finding for cell, recipe in known if (finding := _difference(recipe, cell, folder))]
    if findings:
        theirs = f"{manifest.version}, commit {manifest.revision}"
        raise UsageError(
            "\n  ".join((f"These images are not those that mlperf-docker {__version__} here runs:", *findings)),
            hint=f"Install the version that wrote the bundle ({theirs}); this one is of commit {revision()}. To load"
            " them all the same: --force",
        )


def _difference(recipe: Recipe | None, cell: BundledCell, folder: Path) -> str:
    """Return why *cell* is not what `run` looks for, or nothing."""
    if recipe is None:
        return f"{cell.cell}: there is no such cell here"
    if recipe.content(cell.base_identity) == cell.hash:
        return ""
    what = "its lock" if any(_is_other(lock, folder) for lock in cell.locks) else "its Dockerfile or harness"
    return f"{cell.cell}: {what} is another one here"


def _is_other(lock: str, folder: Path) -> bool:
    """Tell whether *lock* differs between here and a bundle."""
    own, theirs = (root / "locks" / lock for root in (paths.assets(), folder))
    return not own.is_file() or own.read_bytes() != theirs.read_bytes()


def _load_images(
    client: Engine, catalog: Catalog, manifest: Manifest, request: BundleRequest, display: Display
) -> tuple[str, ...]:
    """Load what is not here, and return the tags under which `run` finds the images."""
    missing = [cell for cell in manifest.cells if not _has(client, cell)]
    if not missing:
        display.say("Images: all present.")
    else:
        display.phase("load images")
        place_images(client, [(stored.find(request.folder, cell), cell.tag) for cell in missing], display)
    for cell in missing:
        require_hash(client, cell, cell.tag)
    return tuple(
        _named(client, cell, request.registry if recipe_named(catalog, cell.cell) else None) for cell in manifest.cells
    )


def place_images(client: ImageStore, found: Sequence[tuple[StoredImage, str]], display: Display) -> None:
    """Load *found* under their tags; what had one of these before and has no other name is removed."""
    before = [image for _, tag in found if (image := images.find(client, tag)) is not None]
    archive.load(client, stored.archive_of(found, lambda done, total: display.progress(done, total, BYTES)))
    for image in before:
        images.remove_untagged(client, image.id)


def require_hash(client: Images, cell: BundledCell, tag: str) -> None:
    """Raise BundleError unless *tag* on the engine is what the bundle says of *cell*."""
    found = images.find(client, tag)
    if found is None or found.labels.get(f"{LABEL}.hash") != cell.hash:
        raise BundleError(f"{tag} was loaded, and is not what the bundle says of it.", hint="Write it again.")


def _has(client: Engine, cell: BundledCell) -> bool:
    found = images.find(client, cell.tag)
    return found is not None and found.id == cell.id


def _named(client: Engine, cell: BundledCell, registry: str | None) -> str:
    """Return the image's tag, after giving it one of this host's own *registry* where the bundle has another's."""
    exact = exact_tag(cell.cell, cell.hash, registry) if registry else cell.tag
    if exact != cell.tag:
        client.tag(cell.tag, exact)
    return exact


def place_of(file: File) -> Path:
    """The path of a model file in the cache of this host."""
    return paths.models_dir(str(file.model)) / file.name


def _missing_models(manifest: Manifest, request: BundleRequest) -> list[File]:
    """Return the model files that are not in the cache. Raises UsageError for others that have their names there."""
    missing = [file for file in manifest.model_files if _sha256(place_of(file)) != file.sha256]
    others = [str(place_of(file)) for file in missing if place_of(file).exists()]
    if others and not request.force:
        raise UsageError(
            "\n  ".join(("Other files than the bundle's are in the cache:", *others)),
            hint="Move them elsewhere, or replace them with --force.",
        )
    needed = sum(file.size_bytes for file in missing)
    free = shutil.disk_usage(paths.cache_dir()).free
    if needed > free:
        raise ModelFileError(
            f"The disk of {paths.cache_dir()} has no room: {readable(needed)} are needed, {readable(free)} are free.",
            hint="Free some, or name another cache with XDG_CACHE_HOME.",
        )
    return missing


def _sha256(path: Path) -> str | None:
    """Return the checksum of *path*, or None where there is no such file."""
    try:
        return checksums.sha256(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelFileError(f"The model file {path} cannot be read: {error.strerror}.") from error


def place(file: File, folder: Path, display: Display) -> None:
    """Copy *file* aside in its place's folder, and give it its name when its checksum is right."""
    target = place_of(file)
    display.phase(f"copy {file.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive.folder(target.parent), _aside(target) as aside:
            copied = copy(folder / file.path, aside, lambda done, total: display.progress(done, total, "bytes"))
            if copied.sha256 != file.sha256:
                raise BundleError(f"{folder / file.path} changed while it was loaded.", hint="Run the command again.")
            aside.replace(target)
    except OSError as error:
        raise ModelFileError(
            f"{file.name} cannot be written to {target.parent}: {error.strerror or error}.",
            hint="Free some space or check the permissions there, or name another cache with XDG_CACHE_HOME.",
        ) from error
    checksums.remember(target, {"sha256": file.sha256})


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Yield a hidden name beside *target*, always the same: so the next one removes what a killed one left."""
    aside = target.with_name(f".{target.name}.loading")
    aside.unlink(missing_ok=True)
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)
