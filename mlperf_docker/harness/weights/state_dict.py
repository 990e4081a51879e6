"""Weights of PyTorch checkpoints, read without running any code that such a file may carry."""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import LONGEST_REASON, ModelFileError, damaged, first_ten
from mlperf_docker.harness.system import archives
from mlperf_docker.harness.system.archives import Archive
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.weights.naming import plain

SUFFIXES = (".pth", ".pt", ".bin", ".pytorch")
_FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


def read(path: Path, *, key: str | None = None) -> dict[str, NDArray[Any]]:
    """All weights of a checkpoint by `plain` name, floating-point ones as float32.

    path: a state_dict in a zip or a legacy pickle, or a .zip that holds exactly one such file. key: where in the file
    the state_dict may be; it may also be the file itself, or be below some other key, if weights are there only.
    Weights of an uncompressed archive are mapped, not read.
    Raises ModelFileError for a file that is damaged, holds objects of foreign classes, or has no such place.
    """
    content = _load(path)
    if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
        content = content[key]
    return _arrays(plain(_weights(content, path)), path)


def read_archive(path: Path) -> dict[str, NDArray[Any]]:
    """All weights of a TorchScript archive by name, as float32. Raises ModelFileError."""
    try:
        import torch
    except ImportError as error:
        raise _without_torch(path, "TorchScript archive") from error
    from mlperf_docker.harness.weights.torchscript import open_archive

    module = open_archive(path, torch.device("cpu"))
    return _arrays(plain({str(name): tensor for name, tensor in module.state_dict().items()}), path)


def _without_torch(path: Path, kind: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is a {kind}, and PyTorch is not installed here",
        hint="Convert it in a PyTorch image: mlperf-docker models convert … --backend pytorch",
    )


def _weights(content: object, path: Path) -> Mapping[str, Any]:
    """The one state_dict in *content*. Raises ModelFileError where there is none, or more than one."""
    found = dict(_places(content))
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        first = next(iter(found))
        raise ModelFileError(
            f"{path} holds weights in {len(found)} places",
            hint=f"Save those that count by themselves: torch.save(torch.load(FILE){first}, 'weights.pth')",
            details=first_ten(list(found)),
        )
    if not isinstance(content, Mapping):
        raise ModelFileError(f"{path} holds no weights, but a {type(content).__name__}")
    other = [f"{name}: {type(value).__name__}" for name, value in content.items() if not _is_tensor(value)]
    what = "more than weights" if len(other) < len(content) else "no weights"
    raise ModelFileError(
        f"{path} holds {what}",
        hint="Save the network's state_dict() by itself.",
        details=first_ten([line[:LONGEST_REASON] for line in other]),
    )


def _places(value: object, name: str = "", deepest: int = 4) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where in a checkpoint are tensors by name and nothing else, as Python writes it: `['state_dict']`.

    What an optimiser keeps of each weight is not meant.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return
    if value and all(map(_is_tensor, value.values())):
        if any(str(tensor.dtype) != "torch.uint8" for tensor in value.values()):  # what random generators keep
            yield name, value
    elif deepest:
        for key, below in value.items():
            if "optim" not in key:
                yield from _places(below, f"{name}[{key!r}]", deepest - 1)


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _arrays(values: Mapping[str, Any], path: Path) -> dict[str, NDArray[Any]]:
    """Tensors as arrays that share their memory where the type allows it."""
    odd = [f"{name}: {problem}" for name, value in values.items() if (problem := _problem(value))]
    if odd:
        raise ModelFileError(f"{path} holds weights that are no plain numbers", details=first_ten(odd))
    return {name: _array(value.detach()) for name, value in values.items()}


def _problem(tensor: Any) -> str | None:  # noqa: ANN401 (a torch.Tensor)
    """What keeps a tensor from being an array of numbers, each with a place of its own."""
    import torch

    if tensor.is_quantized:
        return f"quantised, {tensor.dtype}"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"sparse, {tensor.layout}"
    if tensor.is_meta:
        return "without values, on the device meta"
    if tensor.is_complex():
        return f"complex, {tensor.dtype}"
    return "its numbers overlap" if _overlaps(tensor.shape, tensor.stride()) else None


def _overlaps(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two elements may lie at the same place: an array would take more memory than the file has numbers."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += stride * max(0, size - 1)
    return False


def _array(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 (a torch.Tensor)
    whole = tensor.float() if tensor.is_floating_point() else tensor
    return np.asarray(whole.contiguous().numpy())


def _load(path: Path) -> object:
    """The content of the file. Raises ModelFileError, saying what is wrong."""
    try:
        import torch
    except ImportError as error:
        raise _without_torch(path, "PyTorch checkpoint") from error
    archive = _archive(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # of old storage types and pickles: what matters is raised
            if archive is not None and _mappable(archive):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            content = archive.stream() if archive is not None else path.open("rb")
            with content:
                return torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(path, error) from error
    except Exception as error:  # what a damaged pickle makes PyTorch do is without bounds
        raise _damaged(path, error) from error


def _mappable(archive: Archive) -> bool:
    """Whether the tensors lie in the file as they are."""
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in archive.members.values())
    return stored and isinstance(archive.content, Path)


def _harmless() -> list[Any]:
    """Classes beyond PyTorch's own list that checkpoints of training scripts hold: options, and numbers of numpy.

    None of them does anything when it is made. Files from before numpy 2 name the module without its underscore.
    """
    scalar: Any = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(name)) for name in ("float32", "float64", "int32", "int64", "bool")]
    return [argparse.Namespace, np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]


def _archive(path: Path) -> Archive | None:
    """The checkpoint in *path*, if it is a zip archive, itself or packed in one more; else None.

    Raises ModelFileError where it is damaged or no checkpoint.
    """
    require_file(path)
    if not archives.is_archive(path):
        return None
    archive = archives.look(path)
    if not any(PurePosixPath(name).name == "data.pkl" for name in archive.members):
        archive = _packed(archive)
    archives.check_sizes(archive)
    return archive


def _packed(outer: Archive) -> Archive:
    """The one checkpoint in a .zip, unpacked in memory."""
    files = [PurePosixPath(name) for name in outer.members if not name.endswith("/")]
    found = [file for file in files if file.suffix in SUFFIXES and file.parts[0] != "__MACOSX"]
    if len(found) != 1:
        names = [str(file) for file in files]
        raise ModelFileError(f"{outer.path} does not hold just one checkpoint", details=first_ten(names))
    content = outer.read(str(found[0]))
    if not content.startswith(archives.MAGIC):
        return Archive(outer.path, content, {})
    inner = archives.look(outer.path, content)
    archives.check_sums(inner)
    return inner


def _unsafe(path: Path, error: Exception) -> ModelFileError:
    found = _FORBIDDEN.search(str(error))
    if found is None:
        return _damaged(path, error)
    return ModelFileError(
        f"{path} wants to make an object of the class {found[1]}; only tensors are read",
        hint="It was saved as a whole module, or is not what it seems. Save its state_dict() instead.",
    )


def _damaged(path: Path, error: Exception) -> ModelFileError:
    # PyTorch's messages go on for paragraphs, and its unpickler's own are bare numbers.
    reason = str(error).split("\n")[0].split(". ")[0] if isinstance(error, (OSError, RuntimeError)) else "no pickle"
    return damaged(path, "checkpoint that PyTorch can read", reason)
