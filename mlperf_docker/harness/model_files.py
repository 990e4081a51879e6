"""Which model file a run uses, and whether it is the official one."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.cell import OfficialFile
from mlperf_docker.harness.errors import ModelFileError
from mlperf_docker.harness.files import checksum


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that is there, with its checksum. official: it is the one that the rules name."""

    path: Path
    sha256: str
    official: bool


def _matches(path: Path, sha256: str, official: OfficialFile) -> bool:
    if official.sha256:
        return sha256 == official.sha256
    return official.md5 is not None and checksum(path, "md5") == official.md5


def identify(path: Path, official: OfficialFile | None) -> ModelFile:
    """Read *path*'s checksum. Raises ModelFileError if it is no readable file, or empty."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelFileError(f"the model file {path} is not a file")
        sha256 = checksum(path)
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    if not size:
        raise ModelFileError(f"the model file {path} is empty")
    return ModelFile(path, sha256, official is not None and _matches(path, sha256, official))


def locate(folder: Path, given: Path | None, official: OfficialFile | None) -> Path:
    """The path of a run's model file: *given* (any file), else the official one in *folder*. Raises ModelFileError."""
    if given is not None:
        inside = folder / given
        return given if given.exists() or not inside.exists() else inside
    if official is None:
        raise ModelFileError("this cell has no official model file", hint="Name one with --model-file.")
    path = folder / official.name
    if not path.exists():
        hint = "Fetch it with: mlperf-docker models fetch, or name a file with --model-file."
        raise ModelFileError(f"the official model file {official.name} is not in {folder}", hint=hint)
    return path


def find(folder: Path, given: Path | None, official: OfficialFile | None) -> ModelFile:
    """The model file of a run, as `locate` finds it; the checksum of an official one must be right.

    Raises ModelFileError.
    """
    path = locate(folder, given, official)
    file = identify(path, official)
    if given is None and official is not None and not file.official:
        expected = f"sha256 {official.sha256}" if official.sha256 else f"md5 {official.md5}"
        found = f"{path.stat().st_size} bytes, sha256 {file.sha256}, md5 {checksum(path, 'md5')}"
        raise ModelFileError(
            f"{path} is not the official {official.name}: wrong checksum",
            hint="Fetch it again; or name it with --model-file to run it as it is, not as the official file.",
            details=[f"expected: {expected}", f"found: {found}"],
        )
    return file
