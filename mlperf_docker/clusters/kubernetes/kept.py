"""Folders of runs that pods write to, in the results folder, until the run has its place there.

A Job has a folder `.pods/<Job>` with its manifest, and in it one for each index. That of a run is moved to its place
when its result is written, so that a folder that is still there is a run to be looked after.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlperf_docker.clusters.kubernetes.pods import SubmittedJob, job_of
from mlperf_docker.results import store
from mlperf_docker.system import atomic, folders

FOLDER = ".pods"
_MANIFEST = "job.json"


def folder_of(results: Path, job: str) -> Path:
    """Return the folder of *job*."""
    return results / FOLDER / job


def run_folder(results: Path, job: str, index: int) -> Path:
    """Return the folder of the run *index* of *job*."""
    return folder_of(results, job) / str(index)


def make(results: Path, manifest: Mapping[str, Any], runs: int) -> None:
    """Make the folders of a Job with so many *runs*, and keep its manifest there. Raises FolderError, UsageError."""
    folder = folder_of(results, manifest["metadata"]["name"])
    for index in range(runs):
        folders.make(folder / str(index), "as `results` in campaign.yaml")
    atomic.write_text(folder / _MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def any_of(results: Path) -> bool:
    """Tell whether any run of *results* was handed to a cluster and is not completed."""
    return (results / FOLDER).is_dir()


def jobs(results: Path) -> Iterator[SubmittedJob]:
    """Yield the Jobs that still have folders here."""
    with contextlib.suppress(FileNotFoundError):
        for folder in sorted((results / FOLDER).iterdir()):
            found = _read(folder / _MANIFEST)
            if found is not None:
                yield found


def _read(path: Path) -> SubmittedJob | None:
    try:
        return job_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        return None


def is_untouched(folder: Path) -> bool:
    """Tell whether no pod has written to *folder*."""
    return folder.is_dir() and not any(folder.iterdir())


def moved(folder: Path, results: Path, name: str) -> Path:
    """Move the folder of a run to its place *name* in *results*, and return that; the Job's goes with its last run."""
    place = results / name
    folder.rename(place)
    remove_empty(folder.parent)
    return place


def drop_all(results: Path, job: str, runs: int) -> None:
    """Remove the folders of those of so many *runs* of *job* that no pod has written to."""
    for index in range(runs):
        with contextlib.suppress(OSError):
            run_folder(results, job, index).rmdir()
    remove_empty(folder_of(results, job))


def remove_empty(folder: Path) -> None:
    """Remove the folder of a Job that has no runs any more."""
    with contextlib.suppress(OSError):
        if {each.name for each in folder.iterdir()} <= {_MANIFEST}:
            shutil.rmtree(folder)
            folder.parent.rmdir()


def result_file(folder: Path) -> Path:
    """Return the file with the result in *folder*: the harness's own, until it is completed."""
    return folder / store.RESULT_FILE
