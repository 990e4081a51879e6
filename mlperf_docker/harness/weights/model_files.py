"""Model file of a run: chosen, and compared with the official ones."""

import glob
import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlperf_docker.contract.cell import OfficialFile
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.system import archives
from mlperf_docker.harness.system.files import checksum, require_file
from mlperf_docker.harness.weights import onnx_files
from mlperf_docker.harness.weights.formats import SAVED_MODEL


@dataclass(frozen=True, slots=True)
class UsedModelFile:
    """Model file of a run."""

    path: Path
    sha256: str
    """Checksum of the file; of a model in several files, that of the list of their checksums, sorted by name, as
    sha256sum prints it."""
    official: bool
    """True if it is the file that the rules name."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Checksums by name, of a model in several files."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What to say of it."""
        return {"sha256": self.sha256, **({"files": dict(self.files)} if self.files else {})}


def _matches(path: Path, sha256: str, official: OfficialFile) -> bool:
    if official.sha256:
        return sha256 == official.sha256
    return official.md5 is not None and checksum(path, "md5") == official.md5


def files_of(path: Path) -> tuple[Path, ...]:
    """All files that a model is made of, *path* first. Raises ModelFileError where one of them is missing."""
    beside: tuple[Path, ...] = ()
    if path.suffix.lower() == ".onnx":
        beside = onnx_files.files_beside(path)
    elif path.name == SAVED_MODEL:
        folders = (path.parent / "variables", path.parent / "assets")
        beside = tuple(file for folder in folders for file in sorted(folder.rglob("*")) if not file.is_dir())
    elif path.suffix.lower() == ".index":
        beside = tuple(sorted(path.parent.glob(f"{glob.escape(path.stem)}.data-*")))
    for file in beside:
        require_file(file)
    return (path, *beside)


def _summed(path: Path) -> str:
    """The checksum of a file. Raises ModelFileError where it is damaged by checksums of its own."""
    with ThreadPoolExecutor(1) as pool:  # so that the file is fetched once for both
        digest = pool.submit(checksum, path)
        if archives.is_archive(path):
            archives.check_sums(archives.look(path))
        return digest.result()


def identify(path: Path, official: OfficialFile | None) -> UsedModelFile:
    """Read *path* from first byte to last. Raises ModelFileError if it is no readable file, empty, or damaged.

    Damage is found where the file has checksums of its own, as PyTorch's and other zip archives have.
    """
    require_file(path)
    try:
        files = files_of(path)
        sums = {str(file.relative_to(path.parent)): _summed(file) for file in files}
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    if len(files) == 1:
        sha256 = sums[path.name]
        return UsedModelFile(path, sha256, official is not None and _matches(path, sha256, official))
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return UsedModelFile(path, hashlib.sha256(lines.encode()).hexdigest(), official=False, files=sums)


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


def read(path: Path, official: OfficialFile | None, *, must_be: bool) -> UsedModelFile:
    """The model file in *path*, read from first byte to last. must_be: the official one, by its checksum.

    Raises ModelFileError.
    """
    file = identify(path, official)
    if must_be and official is not None and not file.official:
        expected = f"sha256 {official.sha256}" if official.sha256 else f"md5 {official.md5}"
        found = f"{path.stat().st_size} bytes, sha256 {file.sha256}, md5 {checksum(path, 'md5')}"
        raise ModelFileError(
            f"{path} is not the official {official.name}: wrong checksum",
            hint="Fetch it again; or name it with --model-file to run it as it is, not as the official file.",
            details=[f"expected: {expected}", f"found: {found}"],
        )
    return file
