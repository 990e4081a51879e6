"""Location of a data set, and a quick check of its folder; the harness checks every file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlperf_docker.catalog.spec import DatasetSpec
from mlperf_docker.errors import DatasetError
from mlperf_docker.system import paths

RAW = "raw"
"""Folder within a data set's place with the files that `data convert` makes it of."""


@dataclass(frozen=True)
class DatasetFound:
    """A data set that is in its folder, as `data verify` prints it."""

    name: str
    path: Path
    samples: int | None = None
    """None if only the folder was looked at."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def place(dataset: DatasetSpec) -> Path:
    """Where `data fetch` puts *dataset* and `run` looks for it when no folder is named; it need not exist."""
    return paths.data_dir(dataset.name)


def fetch_place(dataset: DatasetSpec) -> Path:
    """Where `data fetch` puts it: within its place, if `data convert` makes the data set out of it."""
    return place(dataset) / RAW if dataset.convert else place(dataset)


def is_there(folder: Path) -> bool:
    """Tell whether anything lies at *folder*: empty folders, as a fetch that got nothing leaves, are nothing.

    What cannot be looked at is there: it is for `check_folder` to say what is wrong with it.
    """
    try:
        if not folder.is_dir():
            return folder.is_symlink() or folder.exists()
        return any(each.is_symlink() or not each.is_dir() or is_there(each) for each in folder.iterdir())
    except OSError:
        return True


def check_folder(dataset: DatasetSpec, path: Path) -> Path:
    """Return the absolute *path* if it looks like *dataset*. Raises DatasetError saying what is wrong with it."""
    folder = paths.resolved(path)
    try:
        problem = _problem(dataset, folder)
    except OSError as error:  # a folder above it may be closed to us
        problem = f"it cannot be read ({error.strerror})"
    if problem:
        raise DatasetError(f"{dataset.title} is not at {folder}: {problem}.", hint=_hint(dataset, folder))
    return folder


def _problem(dataset: DatasetSpec, folder: Path) -> str | None:
    """The first thing that is wrong; each check only makes sense after the one before it."""
    if not folder.exists():
        return "there is no such folder"
    if not folder.is_dir():
        return "that is not a folder"
    if not os.access(folder, os.R_OK | os.X_OK):
        return "the folder is not readable"
    if not any(folder.iterdir()):
        return "the folder is empty"
    if not any((folder / marker).exists() for marker in (dataset.marker, *dataset.other_markers)):
        return f"{' or '.join((dataset.marker, *dataset.other_markers))} was not found there"
    return None


def _hint(dataset: DatasetSpec, folder: Path) -> str:
    command = f"mlperf-docker data fetch {dataset.name}"
    if folder != paths.resolved(place(dataset)):
        command += " DIR" if dataset.convert else f" {folder}"
    how = "Make it with mlperf-docker data convert, out of what this fetches" if dataset.convert else "Fetch it"
    return f"{how}: {command}. A run without it: --synthetic tiny"
