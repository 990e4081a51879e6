"""The quick look at a data set before anything heavy starts; the harness checks every file of it."""

import os
from pathlib import Path

from mlperf_docker.errors import DatasetError
from mlperf_docker.spec import DatasetSpec


def check_folder(dataset: DatasetSpec, path: Path) -> Path:
    """Return the absolute *path* if it looks like *dataset*. Raises DatasetError saying what is wrong with it."""
    folder = path.expanduser().resolve()
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
    how = "Make it with mlperf-docker data convert, out of what this fetches" if dataset.convert else "Fetch it"
    return f"{how}: mlperf-docker data fetch {dataset.name} {folder}. A run without it: --synthetic tiny"
