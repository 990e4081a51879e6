"""The matrix as `list` shows it: every cell, its image, whether it is here, and what was shown of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.spec import AbsentCell, ImageSpec
from mlperf_docker.evidence import records
from mlperf_docker.evidence.records import Entry, Record
from mlperf_docker.images.provide import likely_images
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.recipe import Recipe
from mlperf_docker.recipe.render import recipe_of

HEADER = ("model", "backend", "device", "precisions", "state", "evidence", "image", "model file")
ORDER = ("model", "backend", "device", "state", "evidence", "precisions", "image", "model file")
"""The same by importance."""


@dataclass(frozen=True)
class Row:
    """One cell. present: None where no engine could be asked; image: its tag.

    pullable: whether the registry has it, or None where it was not asked; shown: what is on record of it; source: the
    hash of its source as it is now, or None where nothing is on record.
    """

    spec: ImageSpec
    image: str
    present: bool | None
    shown: tuple[Entry, ...] = ()
    source: str | None = None
    pullable: bool | None = None

    @property
    def state(self) -> str:
        """What can be done with the cell: `present`, `pullable` or `buildable`."""
        if self.present:
            return "present"
        return "pullable" if self.pullable else "buildable"

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of HEADER."""
        spec = self.spec
        files = ", ".join(dict.fromkeys(each.name for each in self._files()))
        identity = (spec.model.name, spec.backend, spec.device, ", ".join(spec.precisions))
        shown = records.shown(self.shown, self.source)
        return (*identity, self.state, shown or "-", self.image, files or "-")

    def fields(self) -> dict[str, Any]:
        """The row for programs."""
        spec = self.spec
        return {
            "model": spec.model.name,
            "backend": spec.backend,
            "device": spec.device,
            "precisions": list(spec.precisions),
            "default": spec.backend == spec.model.default_backend,
            "offered": True,
            "reason": None,
            "state": self.state,
            "image": self.image,
            "present": self.present,
            "pullable": self.pullable,
            "dataset": spec.model.dataset.name,
            "scenarios": list(spec.model.scenarios),
            "model_files": [{"name": each.name, "precision": each.precision} for each in self._files()],
            "evidence": records.fields(self.shown, self.source),
        }

    def _files(self) -> Iterator[Any]:
        return (each for each in self.spec.model.files if each.backend == self.spec.backend)


@dataclass(frozen=True)
class AbsentRow:
    """One cell that is not offered: the reason stands for what could be on record."""

    cell: AbsentCell

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of HEADER."""
        cell = self.cell
        return (cell.model.name, cell.backend, cell.device, "-", "not offered", cell.reason, "-", "-")

    def fields(self) -> dict[str, Any]:
        """The row for programs, with the keys of a cell that is offered."""
        cell = self.cell
        return {
            "model": cell.model.name,
            "backend": cell.backend,
            "device": cell.device,
            "precisions": [],
            "default": cell.backend == cell.model.default_backend,
            "offered": False,
            "reason": cell.reason,
            "state": "not offered",
            "image": None,
            "present": None,
            "pullable": None,
            "dataset": cell.model.dataset.name,
            "scenarios": [],
            "model_files": [],
            "evidence": records.fields((), None),
        }


def matrix(registry: str = "", *, remote: bool = False) -> list[Row | AbsentRow]:
    """Return every cell in the catalog's order. Asks the engine once what is there; without one, present is None.

    remote: ask the registry too, for which an engine is needed. Raises EngineError, RegistryError only then.
    """
    catalog = Catalog.load()
    sources, record = Sources(registry or catalog.registry), records.known()
    recipes = [recipe_of(spec) for spec in catalog.specs]
    images = likely_images(recipes, sources)
    rows = [Row(recipe.spec, *image, *_evidence(recipe, record)) for recipe, image in zip(recipes, images, strict=True)]
    offered = iter(_asked(rows, recipes, sources) if remote else rows)
    return [AbsentRow(cell) if isinstance(cell, AbsentCell) else next(offered) for cell in catalog.cells]


def _asked(rows: list[Row], recipes: list[Recipe], sources: Sources) -> list[Row]:
    """Return *rows* with what the registry has."""
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.push_pull import offered

    there = offered(connect(), recipes, sources)
    return [replace(row, pullable=str(row.spec) in there) for row in rows]


def _evidence(recipe: Recipe, record: Record) -> tuple[tuple[Entry, ...], str | None]:
    """Return what is on record of the recipe's cell, and where anything is, the hash of its source as it is now."""
    entries = record.of(recipe.spec)
    return entries, recipe.source if entries else None
