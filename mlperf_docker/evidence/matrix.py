"""Matrix of cells as `list` shows it: image, whether it is present, and evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlperf_docker.evidence import remembered
from mlperf_docker.evidence.facts import CellFacts
from mlperf_docker.images.lookup import likely_images
from mlperf_docker.images.sources import Sources
from mlperf_docker.recipe.identity import Identity

HEADER = ("model", "backend", "device", "precisions", "state", "evidence", "image", "model file")
ORDER = ("model", "backend", "device", "state", "evidence", "precisions", "image", "model file")
"""The same by importance."""


@dataclass(frozen=True)
class Row:
    """Row of a cell, with the state of its image."""

    cell: CellFacts
    image: str | None = None
    """The image's tag; None for a cell that is not offered."""
    present: bool | None = None
    """Whether the engine has it; None where none could be asked."""
    pullable: bool | None = None
    """Whether the registry has it; None where it was not asked."""

    @property
    def state(self) -> str:
        """What can be done with the cell: `present`, `pullable` or `buildable`; else `not offered`."""
        if self.cell.reason is not None:
            return "not offered"
        if self.present:
            return "present"
        return "pullable" if self.pullable else "buildable"

    def cells(self) -> tuple[str, ...]:
        """The row for people, in the order of HEADER. What is not offered has its reason in place of evidence."""
        cell = self.cell
        files = ", ".join(dict.fromkeys(each["name"] for each in cell.files))
        evidence = cell.reason or cell.shown
        named = (cell.model, cell.backend, cell.device, ", ".join(cell.precisions) or "-")
        return (*named, self.state, evidence or "-", self.image or "-", files or "-")

    def fields(self) -> dict[str, Any]:
        """The row for programs."""
        cell = self.cell
        return {
            "model": cell.model,
            "backend": cell.backend,
            "device": cell.device,
            "precisions": list(cell.precisions),
            "default": cell.default,
            "offered": cell.reason is None,
            "reason": cell.reason,
            "state": self.state,
            "image": self.image,
            "present": self.present,
            "pullable": self.pullable,
            "dataset": cell.dataset,
            "scenarios": list(cell.scenarios),
            "model_files": list(cell.files),
            "evidence": cell.evidence,
        }


def matrix(registry: str | None = None, *, remote: bool = False) -> list[Row]:
    """Return every cell in the catalog's order. Asks the engine once what is there; without one, present is None.

    remote: ask the registry too, for which an engine is needed. Raises EngineError, RegistryError only then.
    """
    known = remembered.known()
    sources = Sources(registry or known.registry)
    identities = [cell.identity for cell in known.cells if cell.identity is not None]
    images = dict(zip(map(str, identities), likely_images(identities, sources), strict=True))
    rows = [Row(cell, *images[str(cell.identity)]) if cell.identity else Row(cell) for cell in known.cells]
    return _asked(rows, identities, sources) if remote else rows


def _asked(rows: Sequence[Row], identities: Sequence[Identity], sources: Sources) -> list[Row]:
    """Return *rows* with what the registry has."""
    from mlperf_docker.engine.client import connect
    from mlperf_docker.images.push_pull import offered

    there = offered(connect(), identities, sources)
    return [replace(row, pullable=str(row.cell.identity) in there) if row.cell.identity else row for row in rows]
