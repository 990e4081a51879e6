"""Weights out of PyTorch checkpoints, without running any code that such a file may carry."""

import argparse
import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import ModelFileError, first_ten

PARALLEL = "module."
"""Before every name where the network was saved inside DataParallel."""
COUNTER = "num_batches_tracked"
"""Training's own; inference has no use for it, and old files lack it."""
SUFFIXES = (".pth", ".pt", ".bin", ".pytorch")
_FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


def read(path: Path, *, key: str | None = None) -> dict[str, NDArray[Any]]:
    """All weights of a checkpoint by name, floating-point ones as float32.

    path: a state_dict in a zip or a legacy pickle, or a .zip that holds exactly one such file. key: where in the file
    the state_dict is, None for a file that is one. Weights of an uncompressed archive are mapped, not read. A
    "module." before all names goes, and so does BatchNorm's count of batches.
    Raises ModelFileError for a file that is damaged, holds objects of foreign classes, or lacks *key*.
    """
    content = _load(path)
    state = content if key is None else _below(content, key, path)
    if not isinstance(state, Mapping) or not state:
        where = f" at {key!r}" if key else ""
        raise ModelFileError(f"{path} holds no weights{where}, but a {type(state).__name__}")
    kept = {str(name): value for name, value in state.items() if not str(name).endswith(COUNTER)}
    if all(name.startswith(PARALLEL) for name in kept):
        kept = {name.removeprefix(PARALLEL): value for name, value in kept.items()}
    return _arrays(kept, path, state)


def read_below(path: Path, key: str) -> dict[str, NDArray[Any]]:
    """All weights below *key*, or of a bare state_dict. Raises ModelFileError, of *key* where neither is there."""
    try:
        return read(path, key=key)
    except ModelFileError as nested:
        try:
            return read(path)
        except ModelFileError:
            raise nested from None


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """All weights of a TorchScript archive by name, as float32. Raises ModelFileError."""
    try:
        import torch
    except ImportError as error:
        raise _without_torch(path, "TorchScript archive") from error
    from mlperf_docker.harness.backends import nms

    nms.register()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            state = torch.jit.load(str(path), map_location="cpu").state_dict()
    except (RuntimeError, OSError, ValueError) as error:
        raise ModelFileError(f"PyTorch cannot load {path} ({path.stat().st_size} bytes)") from error
    return {str(name): _array(tensor.detach()) for name, tensor in state.items()}


def _without_torch(path: Path, kind: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is a {kind}, and PyTorch is not installed here",
        hint="Convert it in a PyTorch image: mlperf-docker models convert … --backend pytorch",
    )


def _below(content: object, key: str, path: Path) -> object:
    keys = [str(name) for name in content] if isinstance(content, Mapping) else []
    if not isinstance(content, Mapping) or key not in content:
        found = keys or [f"a {type(content).__name__}"]
        raise ModelFileError(f"{path} has no {key!r}", hint="It is another checkpoint.", details=first_ten(found))
    return content[key]


def _arrays(values: Mapping[str, Any], path: Path, state: Mapping[Any, Any]) -> dict[str, NDArray[Any]]:
    """Tensors as arrays that share their memory where the type allows it."""
    import torch

    other = [f"{name}: {type(value).__name__}" for name, value in values.items() if not isinstance(value, torch.Tensor)]
    if other:
        nested = [str(name) for name, value in state.items() if isinstance(value, Mapping)]
        hint = f"Weights may be below: {', '.join(nested)}" if nested else None
        raise ModelFileError(f"{path} holds more than weights", hint=hint, details=first_ten(other))
    odd = [f"{name}: {value.dtype}" for name, value in values.items() if value.is_quantized or value.is_sparse]
    if odd:
        raise ModelFileError(f"{path} holds weights that are quantised or sparse", details=first_ten(odd))
    return {name: _array(value.detach()) for name, value in values.items()}


def _array(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 (a torch.Tensor)
    whole = tensor.float() if tensor.is_floating_point() else tensor
    return np.asarray(whole.contiguous().numpy())


def _load(path: Path) -> object:
    """The content of the file. Raises ModelFileError, saying what is wrong."""
    try:
        import torch
    except ImportError as error:
        raise _without_torch(path, "PyTorch checkpoint") from error
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # of old storage types and pickles: what matters is raised
            if not zipfile.is_zipfile(path):
                return torch.load(path, map_location="cpu", weights_only=True)
            member = _packed(path)
            if member is not None:
                return torch.load(member, map_location="cpu", weights_only=True)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, error) from error
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _harmless() -> list[Any]:
    """Classes beyond PyTorch's own list that checkpoints of training scripts hold: options, and numbers of numpy.

    None of them does anything when it is made. Files from before numpy 2 name the module without its underscore.
    """
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("float32", "float64", "int32", "int64", "bool")]
    return [argparse.Namespace, np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]


def _packed(path: Path) -> BinaryIO | None:
    """The one checkpoint in a .zip, unpacked in memory; None if the file is a checkpoint itself, which is a zip too."""
    with zipfile.ZipFile(path) as archive:
        files = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
        if any(file.name == "data.pkl" for file in files):
            return None
        found = [file for file in files if file.suffix in SUFFIXES and file.parts[0] != "__MACOSX"]
        if len(found) != 1:
            names = [str(file) for file in files]
            raise ModelFileError(f"{path} does not hold just one checkpoint", details=first_ten(names))
        return io.BytesIO(archive.read(str(found[0])))


def _unsafe(path: Path, error: Exception) -> ModelFileError:
    found = _FORBIDDEN.search(str(error))
    if found is None:
        return _damaged(path, error)
    return ModelFileError(
        f"{path} wants to make an object of the class {found[1]}; only tensors are read",
        hint="It was saved as a whole module, or is not what it seems. Save its state_dict() instead.",
    )


def _damaged(path: Path, error: Exception) -> ModelFileError:
    try:
        size = f" ({path.stat().st_size} bytes)"
    except OSError:
        size = ""
    # PyTorch's messages go on for paragraphs, and its unpickler's own are bare numbers.
    reason = str(error).split("\n")[0].split(". ")[0] if isinstance(error, (OSError, RuntimeError)) else "no pickle"
    return ModelFileError(
        f"PyTorch cannot read {path}{size}: {reason}",
        hint="It is truncated or no checkpoint. Compare its checksum with: mlperf-docker models verify",
    )
