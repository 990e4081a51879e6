"""Model files in several parts, and one checksum over all parts, as result.json has it."""

import hashlib
import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from mlperf_docker.errors import ModelFileError
from mlperf_docker.inputs import checksums

SAVED_MODEL = "saved_model.pb"
_LOCATION = re.compile(rb"\x6a[\x80-\xff]?[\x01-\x7f]\x0a\x08location\x12([\x80-\xff]?[\x01-\x7f])")
"""How protobuf writes in which file a tensor of ONNX is: its field 13, with this key, up to the length of the value.

Metadata, which may have such a key too, are in other fields.
"""


def files_of(path: Path) -> tuple[Path, ...]:
    """Return all files that the model in *path* is made of, itself first. Raises ModelFileError where one is missing.

    Beside an ONNX file are the tensors that it says are elsewhere; beside saved_model.pb its variables and assets.
    """
    beside: list[Path] = []
    if path.name == SAVED_MODEL:
        folders = (path.parent / "variables", path.parent / "assets")
        beside = [file for folder in folders for file in sorted(folder.rglob("*")) if not file.is_dir()]
    elif path.suffix.lower() == ".onnx":
        beside = [path.parent / name for name in sorted(set(_locations(path)))]
    wrong = next((file for file in beside if not file.is_file()), None)
    if wrong is not None:
        raise ModelFileError(
            f"The model file {path} has a part in {wrong}, which is not there, or no file.",
            hint="The files belong together: copy or unpack all of them into one folder.",
        )
    return (path, *beside)


def _locations(path: Path) -> Iterator[str]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in _LOCATION.finditer(content):
            low, *high = match[1]
            size = (low & 0x7F) | (high[0] << 7 if high else 0)
            name = content[match.end() : match.end() + size].decode("utf-8", "surrogateescape")
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts or "\0" in name:
                raise ModelFileError(f"The model file {path} wants numbers from outside its folder: {name!r}.")
            yield name


def sums(path: Path, report: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """Return the sha256 of each file that the model is made of, by its name beside *path*. Raises OSError."""
    return {
        str(file.relative_to(path.parent)): checksums.of(file, ("sha256",), report)["sha256"] for file in files_of(path)
    }


def combined(found: Mapping[str, str]) -> str:
    """Return the sha256 of the list of files, sorted by name, as sha256sum prints it."""
    lines = "".join(f"{found[name]}  {name}\n" for name in sorted(found))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
