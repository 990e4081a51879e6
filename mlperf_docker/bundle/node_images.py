"""Images of a bundle on this node: each loaded or unpacked once, whatever runs at the same time.

A lock in the node's own cache says whose turn it is; who waited finds the image there.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlperf_docker.bundle import manifest as manifests
from mlperf_docker.bundle import stored
from mlperf_docker.bundle.loading import place_images, require_hash, require_platform
from mlperf_docker.bundle.manifest import BundledCell
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.engine import Engine, Images, ImageStore
from mlperf_docker.errors import BundleError, UsageError
from mlperf_docker.images import provide as sources_of_images
from mlperf_docker.images.building.builder import Builder
from mlperf_docker.images.known_bases import Base
from mlperf_docker.images.sources import Sources
from mlperf_docker.names import LABEL, PullPolicy
from mlperf_docker.recipe.identity import exact_tag
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.system import node_cache


class ImageKind(StrEnum):
    """Form that a container runtime takes an image in."""

    DOCKER = "docker"
    """An archive, as `docker load` takes it."""
    OCI = "oci"
    """A folder, an OCI layout."""
    SIF = "sif"
    """A file of Apptainer's and Singularity's."""
    SQSH = "sqsh"
    """A squashfs file, as enroot and pyxis take it."""
    ROOT = "root"
    """A folder that is the unpacked root."""


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
        return f"{self.cell.cell.replace(':', '-')}-{self.cell.hash}"


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
    others = {"--pull always": sources.pull is PullPolicy.ALWAYS, "--base": sources.base is not None}
    for option, given in others.items():
        if given:
            raise UsageError(f"{option} and a bundle exclude each other: the image is the bundle's, as it is.")
    return sources.bundle


def from_bundle(client: ImageStore, bundle: Path, recipe: Recipe, registry: str, display: Display) -> ImageUsed:
    """Return the image of *recipe* in a store, loaded from *bundle* where it is not there. Raises BundleError."""
    image = find(bundle, recipe, registry)
    tag = image.used.tag
    if (here := _present(client, image)) is not None:
        display.say(f"Image {tag}: present.")
        return here
    waited: list[str] = []

    def held() -> None:
        waited.append(tag)
        display.say(f"Image {tag}: another process of this node is loading images; waiting.")

    with node_cache.turn(held, display.say):
        here = _present(client, image) if waited else None
        if here is not None:
            display.say(f"Image {tag}: loaded by the other process.")
            return here
        return _load(client, image, display)


def _present(client: Images, image: BundledImage) -> ImageUsed | None:
    found = images.find(client, image.used.tag)
    if found is None or found.labels.get(f"{LABEL}.hash") != image.cell.hash:
        return None
    base = Base.recorded(found.labels)
    described = f"{base.reference} ({base.origin})" if base else image.used.base
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
