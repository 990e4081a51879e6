"""Matrix of runs: what a plan has of each row and column, as a table of marked words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mlperf_docker.report.runs import Run


class MatrixMark(StrEnum):
    """Colour of an entry, by what it says."""

    DONE = "valid"
    FAILED = "invalid"
    OLD = "synthetic"
    OPEN = "quiet"


@dataclass(frozen=True)
class MatrixEntry:
    """A run of the plan: its state in a word, its figure, and the name of its result's folder."""

    state: str
    mark: MatrixMark
    figure: str = ""
    run: str | None = None


@dataclass(frozen=True)
class MatrixRow:
    """Entries of one benchmark, by column; a column may have none."""

    name: str
    entries: dict[str, MatrixEntry]


@dataclass(frozen=True)
class Matrix:
    """Rows and columns of a plan."""

    title: str
    rows: tuple[MatrixRow, ...]
    note: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that any row has, in the order of their first appearance."""
        return tuple(dict.fromkeys(column for row in self.rows for column in row.entries))


def linked(matrices: Iterable[Matrix], runs: Iterable[Run]) -> Iterator[tuple[Matrix, dict[str, str]]]:
    """Each matrix with the anchors of its runs' sections, by the name of their folders."""
    anchors = {run.result.name: run.anchor for run in runs}
    for matrix in matrices:
        names = (entry.run for row in matrix.rows for entry in row.entries.values() if entry.run in anchors)
        yield matrix, {name: anchors[name] for name in names if name}
