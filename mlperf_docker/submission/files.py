"""Files of a tree before they are written: each path with where its content comes from."""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from mlperf_docker.submission import accuracy_logs


class Content(Protocol):
    """Content of a file of a tree."""

    def write(self, target: Path) -> None:
        """Write it to the new file *target*, whose folder is there."""


@dataclass(frozen=True)
class TreeText:
    """Text that is made for the tree."""

    text: str

    def write(self, target: Path) -> None:
        """Write it to *target*."""
        target.write_text(self.text, encoding="utf-8")


@dataclass(frozen=True)
class TreeCopy:
    """File of a run, as it is."""

    source: Path

    def write(self, target: Path) -> None:
        """Copy it to *target*."""
        shutil.copyfile(self.source, target)


@dataclass(frozen=True)
class AccuracyLog:
    """Answers of a run, shortened where they are longer than a round allows."""

    source: Path
    limit_bytes: int

    def write(self, target: Path) -> None:
        """Write what the round allows of it to *target*."""
        target.write_bytes(accuracy_logs.shortened(self.source, self.limit_bytes))

    @property
    def is_cut(self) -> bool:
        """Whether the tree has less than all of it."""
        return accuracy_logs.is_long(self.source, self.limit_bytes)


Files = dict[PurePosixPath, Content]
"""Files by their path in the tree."""
