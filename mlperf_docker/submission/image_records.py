"""Records of the images that ran, for who repeats a result: Dockerfile, locks, bill of materials."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mlperf_docker.engine import filesystem
from mlperf_docker.engine import local_images as images
from mlperf_docker.engine.client import connect
from mlperf_docker.engine.engine import Engine
from mlperf_docker.engine.local_images import LocalImage
from mlperf_docker.errors import EngineError
from mlperf_docker.names import LABEL, HarnessName
from mlperf_docker.recipe.build_inputs import lock_digest
from mlperf_docker.recipe.layout import LAYOUT
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import recipe_with
from mlperf_docker.results.values import ImageUsed
from mlperf_docker.submission.entries import EntryRuns

SBOM = "sbom.cdx.json"
DOCKERFILE = "Dockerfile"
CELL_DOCKERFILE = "Dockerfile.cell"
"""That of the image that a layer for the reference implementation stands on."""
_REVISION = "org.opencontainers.image.revision"


@dataclass(frozen=True)
class ImageRecord:
    """Record of an image, as complete as this host has it."""

    used: ImageUsed
    revision: str | None = None
    """The commit of mlperf-docker that it was built from; None if it is not known here."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File name → text."""

    @property
    def folder(self) -> str:
        """A name for the folder of its files: that of its exact tag, `<backend>-<device>-<hash>`."""
        return self.used.tag.rpartition(":")[2]


def record(client: Engine | None, recipe: Recipe, used: ImageUsed) -> ImageRecord:
    """Return what is known of the image *used*. client: None without an engine.

    Dockerfile and locks are those of today's sources, so they count only where the image was built from the same.
    """
    found = images.find(client, used.id) if client is not None else None
    if client is None or found is None:
        return ImageRecord(used)
    files = dict(_of_sources(recipe, found))
    bill = filesystem.read_file(client, used.id, LAYOUT.sbom)
    if bill is not None:
        files[SBOM] = bill.decode(errors="replace")
    return ImageRecord(used, found.labels.get(_REVISION), files)


def _of_sources(recipe: Recipe, image: LocalImage) -> Mapping[str, str]:
    inputs, files = recipe.all_inputs, {}
    if image.labels.get(f"{LABEL}.hash") == recipe.content(image.labels.get(f"{LABEL}.base.identity", "")):
        files[DOCKERFILE] = recipe.inputs.dockerfile
        if recipe.below is not None:
            files[CELL_DOCKERFILE] = recipe.below.inputs.dockerfile
    if image.labels.get(f"{LABEL}.lock") == lock_digest(inputs):
        files |= {f"requirements-{each.name}.txt": each.requirements.decode() for each in inputs.layers}
    return files


def of_entries(entries: Iterable[EntryRuns]) -> dict[str, ImageRecord]:
    """Return the records of all images that the runs of *entries* used, by their exact tags; without an engine, too."""
    found: dict[str, ImageRecord] = {}
    client = _engine()
    for entry in entries:
        for run in entry.runs:
            if run.image is not None and run.image.tag not in found:
                recipe = recipe_with(entry.spec, HarnessName(run.harness_name))
                found[run.image.tag] = record(client, recipe, run.image)
    return found


def _engine() -> Engine | None:
    try:
        return connect()
    except EngineError:
        return None
