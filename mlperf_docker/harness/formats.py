"""How a model file is written, told from its content where names mislead: a TorchScript archive may be called .pth."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.harness.errors import ModelFileError
from mlperf_docker.harness.names import Format

SUFFIXES = {
    ".onnx": Format.ONNX,
    ".pb": Format.FROZEN_GRAPH,
    ".index": Format.CHECKPOINT,
    ".safetensors": Format.SAFETENSORS,
    ".pt": Format.STATE_DICT,
    ".pth": Format.STATE_DICT,
    ".bin": Format.STATE_DICT,
    ".pytorch": Format.STATE_DICT,
    ".ptc": Format.TORCHSCRIPT,
    ".zip": Format.STATE_DICT,
}
SAVED_MODEL = "saved_model.pb"


def detect(path: Path) -> Format:
    """The format of the model file *path*. Raises ModelFileError where it cannot be told.

    PyTorch writes both checkpoints and TorchScript as zip archives with a data.pkl; only TorchScript holds code. A zip
    may hold a SavedModel too; one that lies open is named by the saved_model.pb in its folder.
    """
    if path.name == SAVED_MODEL:
        return Format.SAVED_MODEL
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise ModelFileError(f"{path} has no suffix that names a model format", hint=f"Known are: {known}")
    if SUFFIXES[suffix] in (Format.STATE_DICT, Format.TORCHSCRIPT) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.split("/")[-1] == SAVED_MODEL for name in names):
            return Format.SAVED_MODEL
        return Format.TORCHSCRIPT if any("/code/" in name for name in names) else Format.STATE_DICT
    return SUFFIXES[suffix]


def read_weights(
    readers: Mapping[Format, Callable[[Path], dict[str, NDArray[Any]]]],
    model: str,
    path: Path,
    found: Format,
    *,
    hint: str | None = None,
) -> dict[str, NDArray[Any]]:
    """The weights in *path* by the one of *readers* that knows its format. Raises ModelFileError where none does."""
    if found not in readers:
        raise ModelFileError(f"weights of {model} cannot be read from a {found} file: {path}", hint=hint)
    return readers[found](path)
