"""`bundle write`: selected images, their locks and model files into a folder that appears when it is complete."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlperf_docker import __version__
from mlperf_docker.bundle import making, oci_writing, stored
from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle.copying import HashedFile, copy
from mlperf_docker.bundle.kinds import HOLDING_ALL, IMAGES, ImageKind
from mlperf_docker.bundle.manifest import BundledCell, File, Manifest
from mlperf_docker.bundle.stored import StoredImage
from mlperf_docker.catalog.spec import ImageSpec
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.display.sizes import readable
from mlperf_docker.engine import archive
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.errors import BundleError, ModelFileError, UsageError
from mlperf_docker.images.lookup import likely_image
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs.models import official_files
from mlperf_docker.inputs.models.official_files import Official
from mlperf_docker.names import LABEL
from mlperf_docker.recipe.origin import revision
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import lock_of
from mlperf_docker.system import exclusive, folders, paths

_OPTION = "--to FOLDER"


class Models(StrEnum):
    """Choice of model files: those that are here, the same with an error for an absent official one, or none."""

    PRESENT = "present"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True)
class WriteRequest:
    """Request of `bundle write`."""

    recipes: tuple[Recipe, ...]
    sources: Sources
    folder: Path
    """Folder of the bundle; absent, or empty."""
    models: Models = Models.PRESENT
    kinds: tuple[ImageKind, ...] = (ImageKind.DOCKER,)
    """Kinds that the images are written in."""


@dataclass(frozen=True)
class _Model:
    """A model file on this host and its path in the bundle."""

    source: Path
    path: str


@dataclass(frozen=True)
class _Contents:
    """Contents of a bundle to write."""

    cells: tuple[BundledCell, ...]
    kinds: tuple[ImageKind, ...]
    image_bytes: int
    """Estimated size of the images in one kind."""
    models: tuple[_Model, ...]
    missing: tuple[str, ...]
    """Official model files that are not on this host."""

    @property
    def model_bytes(self) -> int:
        return sum(each.source.stat().st_size for each in self.models)


def write(client: Engine, request: WriteRequest, display: Display) -> Manifest:
    """Write the bundle and return its manifest.

    It is written aside, in `.<name>.partial`, and renamed when complete; interrupted, it leaves nothing, and what a
    killed one left is removed by the next to the same place. Raises UsageError with every image that is not here,
    ModelFileError with every model file that is wrong, BundleError where the disk is full.
    """
    target = _target(request.folder)
    for kind in request.kinds:
        making.program(kind)
    contents = _contents(client, request, display)
    _require_space(target.parent, contents)
    try:
        with _aside(target) as folder:
            manifest = _fill(client, folder, contents, display)
            folder.replace(target)  # an empty folder of that name gives way
    except OSError as error:
        raise BundleError(
            f"The bundle cannot be written to {target}: {error.strerror or error}.",
            hint=f"Free some space there or check the permissions, or name another folder with {_OPTION}.",
        ) from error
    return manifest


def _target(folder: Path) -> Path:
    """Return the absolute path of the new folder. Raises UsageError unless it can be made there."""
    target = paths.resolved(folder.parent) / folder.name
    folders.require_writable(target.parent, f"with {_OPTION}")
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise UsageError(f"{target} is there already.", hint=f"Remove it, or name another folder with {_OPTION}.")
    return target


def _contents(client: Engine, request: WriteRequest, display: Display) -> _Contents:
    cells, found = _cells(client, request)
    here, missing = ([], []) if request.models is Models.NONE else _models(_specs(request.recipes), display)
    if missing and request.models is Models.ALL:
        lines = (f"{each} is not at {each.path}: {official_files.fetch_command(each)}" for each in missing)
        raise ModelFileError(
            "\n  ".join(("Model files are missing:", *lines)), hint="Fetch them, or leave them out: --models present"
        )
    for each in missing:
        display.say(f"Model file {each}: not here, so not in the bundle.")
    return _Contents(
        cells,
        request.kinds,
        _expected_bytes(client, found),
        tuple(here),
        tuple(f"{each.model.name}/{each.path.name}" for each in missing),
    )


def _cells(client: Engine, request: WriteRequest) -> tuple[tuple[BundledCell, ...], list[LocalImage]]:
    """Return the cells and their images on the engine. Raises UsageError that names every one that is not there."""
    likely = [(each, *likely_image(client, each.identity, request.sources)) for each in request.recipes]
    absent = [recipe for recipe, _, present in likely if not present]
    if absent:
        lines = (f"{recipe}: mlperf-docker build {recipe.words}" for recipe in absent)
        raise UsageError(
            "\n  ".join(("Images are missing on this engine:", *lines)),
            hint="Build or pull them first, or select fewer cells.",
        )
    found = [(recipe, tag, image) for recipe, tag, _ in likely if (image := images.find(client, tag)) is not None]
    return tuple(_cell(*each) for each in found), [image for _, _, image in found]


def _specs(recipes: Iterable[Recipe]) -> tuple[ImageSpec, ...]:
    """Return the cells of *recipes*, each once."""
    return tuple({str(each.spec): each.spec for each in recipes}.values())


def _cell(recipe: Recipe, tag: str, image: LocalImage) -> BundledCell:
    """Return what the image's own labels tell."""
    facts = {key: image.labels.get(f"{LABEL}.{key}", "") for key in ("hash", "base", "base.identity", "base.origin")}
    return BundledCell(
        cell=str(recipe),
        tag=tag,
        id=image.id,
        hash=facts["hash"],
        base=facts["base"],
        base_identity=facts["base.identity"],
        base_origin=facts["base.origin"],
        platform=image.platform,
        lock=recipe.spec.lock,
        reference_lock=lock_of(recipe.spec) if recipe.below and recipe.inputs.layers else None,
        entrypoint=image.process.entrypoint,
        environment=image.process.environment,
        working_dir=image.process.working_dir,
    )


def _models(specs: tuple[ImageSpec, ...], display: Display) -> tuple[list[_Model], list[Official]]:
    """Return the model files of *specs* that are here, and the official ones that a run would take and are not.

    Here are the official files of the selected backends, each verified, and whatever else was put or converted into
    the models' folders, which every backend may run.
    """
    here: dict[str, _Model] = {}
    missing: list[Official] = []
    for spec in specs:
        name = spec.model.name
        known = official_files.officials(spec.model)
        own = [each for each in known if each.file.backend == spec.backend]
        for official in own:
            if official.path.is_file():
                display.phase(f"verify {official.path.name}")
                official_files.check(official, lambda done, total: display.progress(done, total, "bytes"))
            elif official.first and official not in missing:
                missing.append(official)
        others = {each.path for each in known} - {each.path for each in own}
        folder = paths.models_dir(name)
        for path in sorted(folder.glob("*")):
            if path.is_file() and path not in others and _is_whole(path):
                here[f"models/{name}/{path.name}"] = _Model(path, f"models/{name}/{path.name}")
    return list(here.values()), missing


def _is_whole(path: Path) -> bool:
    """Tell a file from what a download left behind."""
    return not path.name.startswith(".") and official_files.PARTIAL not in path.suffixes


def _expected_bytes(client: Engine, found: list[LocalImage]) -> int:
    """Return what the layers of *found* hold, shared ones once.

    The engine tells a layer's size in the image's history; layers are the same where all steps up to theirs are.
    """
    sizes: dict[tuple[tuple[object, ...], ...], int] = {}
    for image in found:
        steps: tuple[tuple[object, ...], ...] = ()
        for step in reversed(client.history(image.id)):
            steps += ((step["Created"], step["CreatedBy"], step["Size"]),)
            sizes[steps] = step["Size"]
    return sum(sizes.values())


def _require_space(folder: Path, contents: _Contents) -> None:
    needed, free = contents.image_bytes * _copies(contents.kinds) + contents.model_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise BundleError(
            f"The disk of {folder} has no room: about {readable(needed)} are needed, and {readable(free)} are free.",
            hint="Free some, select fewer cells, leave model files out (--models none), or name another folder.",
        )


def _copies(kinds: tuple[ImageKind, ...]) -> int:
    """Return how often the images are there at most: in each kind, in the archive behind all, unpacked."""
    return len({*kinds, ImageKind.DOCKER}) + any(kind not in HOLDING_ALL for kind in kinds)


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside *target*, which is gone afterwards unless it was renamed.

    The folder around is held against other writers: so what is there already was left by one that was killed.
    """
    folder = target.with_name(f".{target.name}.partial")
    with exclusive.folder(target.parent):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _fill(client: Engine, folder: Path, contents: _Contents, display: Display) -> Manifest:
    def report(done: int, total: int) -> None:
        display.progress(done, total, "bytes")

    files = list(_images(client, folder, contents, display))
    locks = sorted({lock for cell in contents.cells for lock in cell.locks})
    files += [_copy(paths.assets() / "locks" / lock, folder, f"locks/{lock}", report) for lock in locks]
    for model in contents.models:
        display.phase(f"copy {model.source.name}")
        files.append(_copy(model.source, folder, model.path, report))
    manifest = Manifest(
        version=__version__,
        revision=revision(),
        cells=contents.cells,
        files=tuple(files),
        missing=contents.missing,
    )
    manifests.write(folder, manifest)
    return manifest


def _images(client: Engine, folder: Path, contents: _Contents, display: Display) -> Iterator[File]:
    """Yield the files of the images, in every kind that is wanted; the archive goes where it is not."""

    def report(done: int, total: int) -> None:
        display.progress(done, total, BYTES)

    archived = _save(client, folder, contents, display)
    if ImageKind.DOCKER in contents.kinds:
        yield archived
    stored_images = [(cell.name, stored.find(folder, cell)) for cell in contents.cells]
    for kind in contents.kinds:
        if kind is ImageKind.OCI:
            display.phase(f"write {kind} of {len(stored_images)} images")
            oci_writing.write(stored_images, folder / kind.place(""), report)
            yield from _below(folder, folder / kind.place(""))
        elif kind is not ImageKind.DOCKER:
            yield from _made(folder, kind, stored_images, display)
    if ImageKind.DOCKER not in contents.kinds:
        (folder / IMAGES).unlink()


def _made(folder: Path, kind: ImageKind, found: list[tuple[str, StoredImage]], display: Display) -> Iterator[File]:
    """Yield the files of a kind that has one for each image."""
    for name, image in found:
        target = folder / kind.place(name)
        target.parent.mkdir(exist_ok=True)
        display.phase(f"make {target.name}")
        making.make(kind, name, image, target, display)
    yield from _below(folder, (folder / kind.place("")).parent)


def _below(folder: Path, part: Path) -> Iterator[File]:
    """Yield the entries of all files in *part* of the bundle's folder."""
    for path in sorted(each for each in part.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield File(path=str(path.relative_to(folder)), size_bytes=path.stat().st_size, sha256=digest)


def _save(client: Engine, folder: Path, contents: _Contents, display: Display) -> File:
    tags = [cell.tag for cell in contents.cells]
    display.phase(f"save {len(tags)} image{'s' if len(tags) > 1 else ''}")
    expected = contents.image_bytes
    with HashedFile(folder / IMAGES) as file:
        archive.save(client, tags, file, lambda done: display.progress(done, max(done, expected), "bytes"))
    try:
        lacking = set(tags) - archive.tags_in(folder / IMAGES)
    except archive.NoArchiveError as error:
        raise BundleError(f"What the engine saved {error}.", hint="Is its disk full? See: docker system df") from error
    if lacking:
        raise BundleError(f"What the engine saved lacks {', '.join(sorted(lacking))}.", hint="Try again.")
    return _entry(IMAGES, file)


def _copy(source: Path, folder: Path, path: str, report: Callable[[int, int], None]) -> File:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return _entry(path, copy(source, target, report))


def _entry(path: str, file: HashedFile) -> File:
    return File(path=path, size_bytes=file.size_bytes, sha256=file.sha256)
