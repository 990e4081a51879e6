"""Facts of the cells that `list` shows, independent of the engine: plain values, to JSON and back."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from mlperf_docker.recipe.identity import BaseName, Identity


@dataclass(frozen=True)
class CellFacts:
    """Facts of one cell of the matrix."""

    model: str
    backend: str
    device: str
    default: bool
    """Whether it is the model's default backend."""
    dataset: str
    reason: str | None
    """Why the cell is not offered, or None if it is."""
    identity: Identity | None
    """What the names of its image follow from; None if it is not offered."""
    precisions: tuple[str, ...]
    scenarios: tuple[str, ...]
    files: tuple[dict[str, str], ...]
    """Name and precision of each official model file."""
    shown: str
    """What is on record, in words."""
    evidence: dict[str, Any]
    """The same for programs."""

    @classmethod
    def parsed(cls, said: dict[str, Any]) -> "CellFacts":
        """Return the facts out of JSON. Raises KeyError, TypeError or ValueError for anything else."""
        identity = said["identity"]
        if identity is not None:
            identity = Identity(**{**identity, "base": BaseName(**identity["base"])})
        lists = {name: tuple(said[name]) for name in ("precisions", "scenarios", "files")}
        return cls(**{**said, **lists, "identity": identity})


@dataclass(frozen=True)
class Facts:
    """Facts of the whole matrix."""

    registry: str
    """Registry of the catalog."""
    cells: tuple[CellFacts, ...]

    def dumped(self) -> str:
        """Return the facts as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parsed(cls, text: str) -> "Facts":
        """Return the facts out of JSON. Raises KeyError, TypeError or ValueError for anything else."""
        said = json.loads(text)
        return cls(str(said["registry"]), tuple(CellFacts.parsed(each) for each in said["cells"]))
