"""Problems of a campaign.yaml, and the files and folders that it names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from mlperf_docker.catalog import checked_yaml, yaml_lines
from mlperf_docker.catalog.yaml_lines import Document, dotted
from mlperf_docker.display import printable
from mlperf_docker.errors import MlperfDockerError, UsageError
from mlperf_docker.system import paths

_T = TypeVar("_T")
_Entry = TypeVar("_Entry", bound=BaseModel)


class Noting:
    """Document at *path*: what is wrong with it is noted at its line."""

    def __init__(self, path: Path, document: Document) -> None:
        self.path, self.document = path, document

    def note(self, at: yaml_lines.Path, message: str) -> None:
        """Add a problem of what stands at *at*."""
        told = printable.shortened(message.rstrip("."), checked_yaml.LONGEST_MESSAGE)
        self.document.problems.note(self.document.line(at), "{}: {}".format, dotted(at), told)

    def attempt(self, at: yaml_lines.Path, made: Callable[[], _T]) -> _T | None:
        """Return what is made, or None with the problem that it cannot be."""
        try:
            return made()
        except MlperfDockerError as error:
            self.note(at, str(error))
            return None

    def entry(self, kind: type[_Entry], raw: object, at: yaml_lines.Path) -> _Entry | None:
        """Return *raw* as a *kind*, or None with everything that is wrong with it."""
        return checked_yaml.validate(self.document, kind, raw, at, self.document.problems)

    def line(self, at: yaml_lines.Path) -> int:
        """The line of what stands at *at*."""
        return self.document.line(at)

    def file(self, at: yaml_lines.Path, text: str | None) -> Path | None:
        """Return the path that *text* means, with a problem where no file is there."""
        return self._there(at, text, os.path.isfile, "file")

    def folder(self, at: yaml_lines.Path, text: str | None) -> Path | None:
        """Return the path that *text* means, with a problem where no folder is there."""
        return self._there(at, text, os.path.isdir, "folder")

    def below(self, text: str) -> Path:
        """Return the absolute path that *text* means to a reader of the file. Raises UsageError."""
        if "\0" in text:
            raise UsageError("a path cannot have a null character in it")
        return paths.of_user(text) if text.startswith("~") else self.path.parent / text

    def _there(self, at: yaml_lines.Path, text: str | None, is_there: Callable[[Path], bool], kind: str) -> Path | None:
        if text is None:
            return None
        path = self.attempt(at, lambda: self.below(text))
        if path is not None and not is_there(path):
            self.note(at, f"there is no {kind} {path}")
        return path
