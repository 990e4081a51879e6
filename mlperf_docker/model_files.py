"""Find the model file of a run, and be sure that it is the right one before a container starts."""

import hashlib
import os
from pathlib import Path

from mlperf_docker.errors import ModelFileError
from mlperf_docker.names import Precision
from mlperf_docker.paths import models_dir
from mlperf_docker.spec import ImageSpec, ModelFile


def locate(spec: ImageSpec, precision: Precision, explicit: Path | None) -> Path:
    """Return the model file: *explicit*, else the official one from the models folder, with its checksum verified.

    An explicit file is the user's own affair: the harness records whether its checksum is the official one.
    Raises ModelFileError.
    """
    if explicit is not None:
        return _existing(explicit.expanduser().resolve())
    official = spec.file(precision)
    if official is None:
        raise ModelFileError(f"{spec} has no official {precision} file.", hint="Give your own with --model-file FILE.")
    path = models_dir(spec.model.name) / official.name
    if not path.is_file():
        raise ModelFileError(f"The model file {official.name} is not at {path}.", hint=_fetch_hint(official, path))
    verify(official, path)
    return path


def verify(official: ModelFile, path: Path) -> None:
    """Raise ModelFileError unless the file at *path* has the official checksum."""
    for algorithm, expected in (("sha256", official.sha256), ("md5", official.md5)):
        if expected is not None:
            _compare(path, algorithm, expected, official)
            return


def _compare(path: Path, algorithm: str, expected: str, official: ModelFile) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, algorithm).hexdigest()
    if actual != expected:
        raise ModelFileError(
            f"{path} ({path.stat().st_size:,} bytes) has {algorithm} {actual}, and the official {official.name} has"
            f" {expected}: it is damaged, cut off, or another file of the same name.",
            hint=f"{_fetch_hint(official, path)} To run this file all the same: --model-file {path}",
        )


def _existing(path: Path) -> Path:
    try:
        size = path.stat().st_size
        readable = os.access(path, os.R_OK)
    except PermissionError:
        size, readable = 0, False
    except OSError as error:
        raise ModelFileError(f"There is no model file at {path}.", hint="Give a file with --model-file.") from error
    if not readable:
        raise ModelFileError(f"The model file {path} is not readable for you.", hint="Check the permissions.")
    if not path.is_file():
        raise ModelFileError(f"The model file {path} is not a file.", hint="Give a file with --model-file.")
    if size == 0:
        raise ModelFileError(f"The model file {path} is empty.", hint="Fetch it again.")
    return path


def _fetch_hint(official: ModelFile, path: Path) -> str:
    return f"Fetch it from {official.urls[0]} to {path}." if official.urls else f"Put it at {path}."
