"""Which model file a run uses, and whether it is the official one."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness import archives
from mlperf_docker.harness.cell import OfficialFile
from mlperf_docker.harness.errors import ModelFileError
from mlperf_docker.harness.files import checksum, require_file


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
    """Read *path* from first byte to last. Raises ModelFileError if it is no readable file, empty, or damaged.

    Damage is found where the file has checksums of its own, as PyTorch's and other zip archives have.
    """
    require_file(path)
    try:
        with ThreadPoolExecutor(1) as pool:  # so that the file is fetched once for both
            digest = pool.submit(checksum, path)
            if archives.is_archive(path):
                archives.check_sums(archives.look(path))
            sha256 = digest.result()
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    return ModelFile(path, sha256, official is not None and _matches(path, sha256, official))


def locate(folder: Path, given: Path | None, official: OfficialFile | None) -> Path:
    """The path of a run's model file: *given* (any file), else the official one in *folder*. Raises ModelFileError."""
    if given is not None:
        inside = folder / given
        # os.path's, as Path's own raises for names that cannot be.
        return given if os.path.exists(given) or not os.path.exists(inside) else inside  # noqa: PTH110
    if official is None:
        raise ModelFileError("this cell has no official model file", hint="Name one with --model-file.")
    path = folder / official.name
    if not os.path.lexists(path):
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
