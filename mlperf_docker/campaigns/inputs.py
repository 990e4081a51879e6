"""Inputs of a campaign's cells as they are now: image, data set, model file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.bundle import node_images
from mlperf_docker.campaigns.cells import CampaignCell
from mlperf_docker.display.progress import BYTES, Display
from mlperf_docker.errors import BundleError, DatasetError, ModelFileError, UsageError
from mlperf_docker.images.lookup import likely_images
from mlperf_docker.images.sources import Sources
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.datasets import identity, location
from mlperf_docker.inputs.models import official_files
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.reference_layer import reference_of
from mlperf_docker.reference import checkout
from mlperf_docker.reference.checkout import CheckoutError, ReferenceCheckout


@dataclass(frozen=True)
class CellInputs:
    """Inputs of a cell."""

    source: str
    """Hash of the image's Dockerfile, locks and harness."""
    image: str | None
    """Last part of the image's exact tag, which stands for its base, too; None if it is not known here."""
    dataset: Path | None = None
    """None for synthetic data."""
    data_identity: str | None = None
    """Identity of the data set; None for synthetic data."""
    model_file: Path | None = None
    """None for synthetic weights."""
    checkout: ReferenceCheckout | None = None
    """None for our own harness."""

    def checksum(self, name: str) -> str:
        """Return the SHA-256 of the model file, or of one of its parts, by its *name*. Raises ModelFileError."""
        path = self.model_file.parent / name if self.model_file else Path(name)
        try:
            return checksums.sha256(path)
        except OSError as error:
            raise ModelFileError(f"The model file {path} cannot be read: {error.strerror}.") from error


def of_cells(cells: Iterable[CampaignCell], sources: Sources, display: Display) -> dict[str, CellInputs]:
    """Return the inputs of each cell, by its name. Raises UsageError with every one that is missing."""
    cells = tuple(cells)
    recipes = [cell.recipe for cell in cells]
    found, problems, doubts = {}, [], dict[str, None]()
    for cell, recipe in zip(cells, recipes, strict=True):
        try:
            inputs = _inputs(cell, recipe.source, _image(cell, recipe, sources), display)
            found[str(cell)] = replace(inputs, checkout=_checkout(cell, doubts.setdefault))
        except (BundleError, CheckoutError, DatasetError, ModelFileError) as error:
            problems.append(f"{error} {error.hint or ''}".strip())
    for each in doubts:
        display.say(each)
    if problems:
        raise UsageError("Inputs of the campaign are missing:\n  " + "\n  ".join(dict.fromkeys(problems)))
    return found


def _checkout(cell: CampaignCell, say: Callable[[str], None]) -> ReferenceCheckout | None:
    """Return the checkout whose reference implementation *cell* runs. Raises CheckoutError."""
    if not cell.is_reference:
        return None
    reference, _ = reference_of(cell.spec)
    return checkout.open_checkout(cell.reference or checkout.of_environment(), reference, cell.spec.backend, say)


def _image(cell: CampaignCell, recipe: Recipe, sources: Sources) -> str | None:
    """Return the hash of the image that runs of *cell* take, as far as it is known. Raises BundleError.

    That of a bundle is known on every host, with an engine or without one; of a pinned one the digest decides.
    """
    if cell.image is not None:
        return None
    if sources.bundle is not None:
        return node_images.find(sources.bundle, recipe, sources.registry).cell.hash
    ((tag, is_here),) = likely_images([recipe.identity], sources)
    return tag.rpartition("-")[2] if is_here else None


def _inputs(cell: CampaignCell, source: str, image: str | None, display: Display) -> CellInputs:
    """Return the inputs of *cell*; synthetic runs read no files. Raises DatasetError, ModelFileError."""
    if all(each.options.synthetic for each in cell.scenarios):
        return CellInputs(source, image)
    dataset = cell.spec.model.dataset
    folder = location.check_folder(dataset, cell.dataset or location.place(dataset))
    model_file = official_files.locate(cell.spec, cell.precision, cell.model_file)
    display.phase(f"identify {dataset.title}")
    found = identity.identify(folder, lambda done, total: display.progress(done, total, BYTES))
    return CellInputs(source, image, folder, found, model_file)
