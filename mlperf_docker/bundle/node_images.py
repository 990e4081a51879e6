"""Images of a bundle on this node: each loaded or unpacked once, whatever runs at the same time.

A lock in the node's own cache says whose turn it is; who waited finds the image there.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlperf_docker.bundle import making, stored
from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle.checking import require_whole
from mlperf_docker.bundle.kinds import ImageKind
from mlperf_docker.bundle.loading import place_images, require_hash, require_platform
from mlperf_docker.bundle.manifest import BundledCell, File, Manifest
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images, ImageStore
from mlperf_docker.errors import BundleError, UsageError
from mlperf_docker.images import provide as sources_of_images
from mlperf_docker.images.building.builder import Builder
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs import checksums
from mlperf_docker.names import LABEL, PullPolicy
from mlperf_docker.recipe.identity import exact_tag
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.system import node_cache

T = TypeVar("T")
_ASIDE = ".making"
_ID_DIGITS = 12
_SMALL = 1 << 20


@dataclass(frozen=True)
class BundledImage:
    """Image of a bundle that is the one that a recipe makes."""

    bundle: Path
    cell: BundledCell
    used: ImageUsed
    """The image as results name it: its tag has this host's registry."""

    @property
    def name(self) -> str:
        """Name for files and folders: model, backend, device and hash."""
        return self.cell.name


def find(bundle: Path, recipe: Recipe, registry: str) -> BundledImage:
    """Return the image of *recipe* in *bundle*. Raises BundleError where there is none that this tool would run."""
    cells = [cell for cell in manifests.read(bundle).cells if cell.cell == str(recipe)]
    cell = next((each for each in cells if recipe.content(each.base_identity) == each.hash), None)
    if cell is None:
        lacks = "is not in it" if not cells else "is of another version of this tool there"
        raise BundleError(
            f"The bundle in {bundle} cannot give the image: {recipe} {lacks}.",
            hint=f"Write it again with this version: mlperf-docker bundle {recipe.spec.words} --to FOLDER",
        )
    base = f"{cell.base} ({cell.base_origin})"
    return BundledImage(bundle, cell, ImageUsed(tag=exact_tag(cell.cell, cell.hash, registry), id=cell.id, base=base))


def provide(client: Engine, builder: Builder, recipe: Recipe, sources: Sources, display: Display) -> ImageUsed:
    """Return the image of *recipe* on the engine: where *sources* have a bundle the bundle's, else as images.provide.

    Raises BundleError for a damaged bundle, and then has loaded nothing.
    """
    if sources.bundle is None:
        return sources_of_images.provide(client, builder, recipe, sources, display)
    return from_bundle(client, require_bundle(sources), recipe, sources.registry, display)


def require_bundle(sources: Sources) -> Path:
    """Return the bundle that images come from. Raises UsageError where none is given, or another source, too."""
    if sources.bundle is None:
        raise UsageError("No bundle is given.", hint="Write one with mlperf-docker bundle write, and name it: --bundle")
    others = {
        "--pull always": sources.pull is PullPolicy.ALWAYS,
        "--base": sources.base is not None,
        "An image that is pinned by its digest": sources.digest is not None,
    }
    for option, given in others.items():
        if given:
            raise UsageError(f"{option} and a bundle exclude each other: the image is the bundle's, as it is.")
    return sources.bundle


def once(name: str, here: Callable[[], T | None], bring: Callable[[], T], display: Display) -> T:
    """Return what is *here*, else what is brought, while no other process of this node brings anything.

    name: of the image, for what is said.
    """
    found = here()
    if found is not None:
        display.say(f"Image {name}: present.")
        return found

    def held() -> None:
        display.say(f"Image {name}: another process of this node is at work on images; waiting.")

    with node_cache.turn(held, display.say):
        found = here()
        if found is not None:
            display.say(f"Image {name}: brought by the other process.")
            return found
        return bring()


def image_file(image: BundledImage, kind: ImageKind, display: Display) -> Path:
    """Return the file or folder that *image* is in as *kind*: the bundle's own, else made in the node's cache, once.

    Of kind DOCKER and OCI it holds other images, too; `image.cell.tag` and `image.name` name this one in it. Raises
    BundleError where the bundle is damaged, or has neither that kind nor one that it could be made of.
    """
    manifest = manifests.read(image.bundle)
    if kind in manifest.kinds:
        return _whole(image, manifest, kind, display)
    target = node_cache.folder() / f"{image.name}-{image.cell.id.partition(':')[2][:_ID_DIGITS]}.{kind.value}"
    return once(
        target.name,
        lambda: target if target.exists() else None,
        lambda: _made(image, kind, target, display),
        display,
    )


def _made(image: BundledImage, kind: ImageKind, target: Path, display: Display) -> Path:
    """Make *target* aside, in a folder that whoever comes next after a kill removes, and give it its name."""
    held = stored.find(image.bundle, image.cell)
    display.phase(f"make {target.name} from {image.bundle}")
    aside = target.parent / _ASIDE
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        making.make(kind, image.name, held, aside / target.name, display)
        (aside / target.name).rename(target)
    except OSError as error:
        raise BundleError(
            f"{target} cannot be made: {error.strerror or error}.",
            hint=f"Free some space there, or set {node_cache.VARIABLE} to a folder on another disk of this node.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    display.say(f"Image {target.name}: made from {image.bundle}.")
    return target


def _whole(image: BundledImage, manifest: Manifest, kind: ImageKind, display: Display) -> Path:
    """Return the bundle's own file or folder; each file of the image was read once, and is as the manifest has it."""
    path = image.bundle / kind.place(image.name)
    parts = [file for file in manifest.files if file.path in _parts(image, manifest, kind)]

    def unknown() -> list[File]:
        return [each for each in parts if checksums.remembered(image.bundle / each.path).get("sha256") != each.sha256]

    if unknown():
        with node_cache.turn(lambda: display.say(f"{path}: another process is reading it; waiting."), display.say):
            display.phase(f"check {path}")
            require_whole(image.bundle, unknown(), display)
    return path


def _parts(image: BundledImage, manifest: Manifest, kind: ImageKind) -> set[str]:
    """Return the paths of the files in the bundle that *image* needs; of a layout all that are small, too."""
    place = kind.place(image.name)
    if kind is not ImageKind.OCI:
        return {place}
    small = {file.path for file in manifest.files if file.path.startswith(f"{place}/") and file.size_bytes < _SMALL}
    layers = stored.laid_out(image.bundle, image.cell).layers
    return small | {str(layer.path.relative_to(image.bundle)) for layer in layers}


def from_bundle(client: ImageStore, bundle: Path, recipe: Recipe, registry: str, display: Display) -> ImageUsed:
    """Return the image of *recipe* in a store, loaded from *bundle* where it is not there. Raises BundleError."""
    image = find(bundle, recipe, registry)
    return once(image.used.tag, lambda: _present(client, image), lambda: _load(client, image, display), display)


def _present(client: Images, image: BundledImage) -> ImageUsed | None:
    found = images.find(client, image.used.tag)
    if found is None or found.labels.get(f"{LABEL}.hash") != image.cell.hash:
        return None
    base = Base.recorded(found.labels)
    described = base.described if base else image.used.base
    return ImageUsed(tag=image.used.tag, id=found.id, base=described)


def _load(client: ImageStore, image: BundledImage, display: Display) -> ImageUsed:
    """Load *image* alone, after reading all of it: nothing is loaded of a damaged one."""
    require_platform(client, [image.cell])
    held = stored.find(image.bundle, image.cell)
    display.phase(f"check {image.used.tag} in {image.bundle}")
    held.check(lambda done, total: display.progress(done, total, BYTES))
    display.phase(f"load {image.used.tag} from {image.bundle}")
    place_images(client, [(held, image.used.tag)], display)
    require_hash(client, image.cell, image.used.tag)
    display.say(f"Image {image.used.tag}: loaded from {image.bundle}.")
    return _present(client, image) or image.used
