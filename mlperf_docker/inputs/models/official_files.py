"""Official model files: path on this host, state, and which one a run uses by default."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mlperf_docker.catalog.spec import ImageSpec, ModelFile, ModelSpec
from mlperf_docker.contract.words import Precision
from mlperf_docker.display.sizes import readable
from mlperf_docker.errors import ModelFileError
from mlperf_docker.inputs import checksums
from mlperf_docker.inputs.checksums import Checksum
from mlperf_docker.system import paths

PARTIAL = ".partial"
_DIGITS = 8  # of a checksum, where it has to tell files of one name apart


class FileState(StrEnum):
    """State of an official file, without reading it: `present` was never verified, or has no checksum."""

    ABSENT = "absent"
    PARTIAL = "partial"
    PRESENT = "present"
    VERIFIED = "verified"
    WRONG = "wrong"


@dataclass(frozen=True)
class Official:
    """An official file of *model* and where it lies on this host."""

    model: ModelSpec
    file: ModelFile
    path: Path
    first: bool
    """True if a run uses this file by default."""

    @property
    def checksum(self) -> Checksum | None:
        """What upstream published, or None."""
        return checksums.published(self.file)

    @property
    def partial(self) -> Path:
        """Where a download collects what it has."""
        return self.path.with_name(self.path.name + PARTIAL)

    @property
    def state(self) -> FileState:
        """A quick look: nothing is read but the names and the index of checksums."""
        if not self.path.is_file():
            return FileState.PARTIAL if self.partial.is_file() else FileState.ABSENT
        checksum = self.checksum
        found = checksums.remembered(self.path).get(checksum.algorithm) if checksum else None
        if checksum is None or found is None:
            return FileState.PRESENT
        return FileState.VERIFIED if found == checksum.value else FileState.WRONG

    def __str__(self) -> str:
        facts = (self.model.name, self.file.backend, self.file.precision, self.file.note.partition(";")[0])
        return f"{self.file.name} ({', '.join(fact for fact in facts if fact)})"


def officials(
    model: ModelSpec, backend: str | None = None, precision: Precision | None = None, folder: Path | None = None
) -> list[Official]:
    """Return the official files of *model* for *backend* and *precision* (None: any), in the catalog's order.

    Two files may share a name; the later one's name on this host has the first digits of its checksum in it. folder:
    where they lie; by default the user's cache.
    """
    place = folder or paths.models_dir(model.name)
    names: set[str] = set()
    seen: set[tuple[str, Precision]] = set()
    found = []
    for file in model.files:
        kind = (file.backend, file.precision)
        found.append(Official(model, file, place / _local_name(file, names), first=kind not in seen))
        seen.add(kind)
    return [each for each in found if backend in (None, each.file.backend) and precision in (None, each.file.precision)]


def _local_name(file: ModelFile, names: set[str]) -> str:
    """Return a name for *file* that is not in *names*, and add it there."""
    checksum = checksums.published(file)
    name = file.name
    if name in names and checksum is not None:
        path = Path(name)
        name = f"{path.stem}-{checksum.value[:_DIGITS]}{path.suffix}"
    names.add(name)
    return name


def identify(models: Iterable[ModelSpec], found: dict[str, str]) -> list[Official]:
    """Return every official file that has one of the checksums *found* (algorithm → digits)."""
    files = (each for model in models for each in officials(model))
    return [
        each
        for each in files
        if each.checksum is not None and found.get(each.checksum.algorithm) == each.checksum.value
    ]


def locate(spec: ImageSpec, precision: Precision, explicit: Path | None) -> Path:
    """Return the model file: *explicit*, else the first official one that is here, with its checksum verified.

    An explicit file is the user's own affair: the harness records whether its checksum is the official one.
    Raises ModelFileError.
    """
    if explicit is not None:
        return existing(explicit)
    known = officials(spec.model, spec.backend, precision)
    if not known:
        raise no_official(spec.model, spec.backend, precision)
    here = next((each for each in known if each.path.is_file()), None)
    if here is None:
        wanted = known[0]
        raise ModelFileError(
            f"The model file {wanted.file.name} is not at {wanted.path}.", hint=f"Fetch it: {fetch_command(wanted)}"
        )
    check(here)
    return here.path


def check(official: Official, report: Callable[[int, int], None] | None = None, *, anew: bool = False) -> None:
    """Raise ModelFileError unless the file has the official checksum; one without a published checksum passes.

    anew: read the file even where its checksum is remembered.
    """
    checksum = official.checksum
    if checksum is None:
        return
    found = None if anew else checksums.remembered(official.path).get(checksum.algorithm)
    if found is None:
        try:
            found = checksums.of(official.path, (checksum.algorithm,), report)[checksum.algorithm]
        except OSError as error:
            raise ModelFileError(f"The model file {official.path} cannot be read: {error.strerror}.") from error
    if found == checksum.value:
        return
    other = identify([official.model], {checksum.algorithm: found})
    is_what = f"it is {other[0]}" if other else "it is damaged, cut off, or another file of the same name"
    raise ModelFileError(
        f"{official.path} ({official.path.stat().st_size:,} bytes) has {checksum.algorithm} {found}, and the official"
        f" {official.file.name} has {checksum.value}: {is_what}.",
        hint=f"Fetch it: {fetch_command(official)}. To run this file all the same: --model-file {official.path}",
    )


def existing(path: Path) -> Path:
    """Return the absolute *path* of a file that can be read and holds something. Raises ModelFileError.

    Its folder is told without links, the file by the name that it was given by.
    """
    path = path.absolute()
    path = paths.resolved(path.parent) / path.name if path.name != ".." else paths.resolved(path)
    try:
        size = path.stat().st_size
        readable_for_us = os.access(path, os.R_OK)
    except PermissionError:
        size, readable_for_us = 0, False
    except OSError as error:
        raise ModelFileError(f"There is no model file at {path}.", hint="Give a file with --model-file.") from error
    if not readable_for_us:
        raise ModelFileError(f"The model file {path} is not readable for you.", hint="Check the permissions.")
    if not path.is_file():
        raise ModelFileError(f"The model file {path} is not a file.", hint="Give a file with --model-file.")
    if size == 0:
        raise ModelFileError(f"The model file {path} is empty.", hint="Fetch it again.")
    return path


def no_official(model: ModelSpec, backend: str, precision: Precision) -> ModelFileError:
    """Say that nobody offers such a file, and what can be made into one."""
    others = [each.file.backend for each in officials(model, None, precision)]
    message = f"There is no official {precision} file of {model.name} for {backend}."
    if not others:
        return ModelFileError(message, hint="Give your own with --model-file FILE.")
    return ModelFileError(
        message,
        hint=f"Fetch another backend's (mlperf-docker models fetch {model.name} -b {others[0]}), make it into"
        f" safetensors (mlperf-docker models convert {model.name} --model-file FILE --to {model.name}.safetensors), and"
        " give that with --model-file.",
    )


def fetch_command(official: Official) -> str:
    """Return the command that fetches this very file to its place."""
    model, file = official.model, official.file
    words = ["mlperf-docker", "models", "fetch", model.name]
    if not official.first:
        return " ".join([*words, "--file", official.path.name])
    words += [] if file.backend == model.default_backend else ["-b", file.backend]
    return " ".join(words + ([] if file.precision is Precision.FP32 else ["-p", file.precision]))


def size_text(path: Path) -> str:
    """Return the size of *path* for people, or "-" where there is none."""
    with contextlib.suppress(OSError):
        return readable(path.stat().st_size)
    return "-"


def select(known: Iterable[Official], name: str) -> Iterator[Official]:
    """Yield the files that *name* means: a name on this host or upstream's, or the first digits of a checksum.

    A name on this host comes before upstream's, so that one of two files of a name can be meant.
    """
    known = tuple(known)
    local = [each for each in known if each.path.name == name]
    digits = [each for each in known if each.checksum and len(name) >= _DIGITS and each.checksum.value.startswith(name)]
    yield from local or digits or (each for each in known if each.file.name == name)
