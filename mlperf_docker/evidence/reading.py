"""Facts that `list` shows, computed from catalog, recipes and evidence."""

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import AbsentCell, ImageSpec
from mlperf_docker.evidence import records
from mlperf_docker.evidence.facts import CellFacts, Facts
from mlperf_docker.evidence.records import Record
from mlperf_docker.recipe.render import recipe_of


def computed() -> Facts:
    """Return the facts of every cell, in the catalog's order."""
    catalog, record = Catalog.load(), records.known()
    cells = (absent(cell) if isinstance(cell, AbsentCell) else offered(cell, record) for cell in catalog.cells)
    return Facts(catalog.registry, tuple(cells))


def offered(spec: ImageSpec, record: Record) -> CellFacts:
    """Return the facts of a cell that has an image."""
    recipe, entries = recipe_of(spec), record.of(spec)
    source = recipe.source if entries else None
    files = (each for each in spec.model.files if each.backend == spec.backend)
    return CellFacts(
        model=spec.model.name,
        backend=spec.backend,
        device=spec.device,
        default=spec.backend == spec.model.default_backend,
        dataset=spec.model.dataset.name,
        reason=None,
        identity=recipe.identity,
        precisions=tuple(spec.precisions),
        scenarios=tuple(spec.model.scenarios),
        files=tuple({"name": each.name, "precision": each.precision} for each in files),
        shown=records.shown(entries, source),
        evidence=records.fields(entries, source),
    )


def absent(cell: AbsentCell) -> CellFacts:
    """Return the facts of a cell that is not offered."""
    return CellFacts(
        model=cell.model.name,
        backend=cell.backend,
        device=cell.device,
        default=cell.backend == cell.model.default_backend,
        dataset=cell.model.dataset.name,
        reason=cell.reason,
        identity=None,
        precisions=(),
        scenarios=(),
        files=(),
        shown="",
        evidence=records.fields((), None),
    )
