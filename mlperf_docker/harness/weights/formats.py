"""Formats of model files, detected from their content: a TorchScript archive may be called .pth."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.system import archives
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.weights.numbers import as_float32, refuse_not_finite

SUFFIXES = {
    ".onnx": ModelFormat.ONNX,
    ".pb": ModelFormat.FROZEN_GRAPH,
    ".index": ModelFormat.CHECKPOINT,
    ".safetensors": ModelFormat.SAFETENSORS,
    ".pt": ModelFormat.STATE_DICT,
    ".pth": ModelFormat.STATE_DICT,
    ".bin": ModelFormat.STATE_DICT,
    ".pytorch": ModelFormat.STATE_DICT,
    ".ptc": ModelFormat.TORCHSCRIPT,
    ".zip": ModelFormat.STATE_DICT,
}
SAVED_MODEL = "saved_model.pb"


def detect(path: Path) -> ModelFormat:
    """The format of the model file *path*. Raises ModelFileError where it cannot be told, or is no file.

    PyTorch writes both checkpoints and TorchScript as zip archives with a data.pkl; only TorchScript holds code. A zip
    may hold a SavedModel too; one that lies open is named by the saved_model.pb in its folder.
    """
    require_file(path)
    if path.name == SAVED_MODEL:
        return ModelFormat.SAVED_MODEL
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise ModelFileError(f"{path} has no suffix that names a model format", hint=f"Known are: {known}")
    if SUFFIXES[suffix] not in (ModelFormat.STATE_DICT, ModelFormat.TORCHSCRIPT) or not archives.is_archive(path):
        return SUFFIXES[suffix]
    names = archives.look(path).members
    if any(name.split("/")[-1] == SAVED_MODEL for name in names):
        return ModelFormat.SAVED_MODEL
    return ModelFormat.TORCHSCRIPT if any("/code/" in name for name in names) else ModelFormat.STATE_DICT


def no_native(model: str, path: Path, found: ModelFormat, known: Iterable[ModelFormat]) -> ModelFileError:
    """A graph of a format that *model* is not run from, though its backend could; it is from those *known*."""
    graphs = ", ".join(known)
    hint = f"As they are, files of these formats run: {graphs}." if graphs else "Its official file is a checkpoint."
    return ModelFileError(f"{model} has no official {found} file: {path}", hint=hint)


def read_weights(
    readers: Mapping[ModelFormat, Callable[[Path], dict[str, NDArray[Any]]]],
    model: str,
    path: Path,
    found: ModelFormat,
    *,
    hint: str | None = None,
    left: Callable[[str], bool] = lambda _: False,
) -> dict[str, NDArray[Any]]:
    """The weights in *path* by the one of *readers* that knows its format, in float32 whatever they are saved in.

    left: tells by name which are handed on as they are, and not looked at: tables that are larger than memory.
    Raises ModelFileError for another format, and for a weight that is not a finite number.
    """
    if found not in readers:
        formats = ", ".join(readers)
        message = f"weights of {model} cannot be read from a {found} file: {path}"
        raise ModelFileError(message, hint=hint or f"They are read from: {formats}")
    arrays = {name: array if left(name) else as_float32(array) for name, array in readers[found](path).items()}
    refuse_not_finite(str(path), ((name, array) for name, array in arrays.items() if not left(name)))
    return arrays
