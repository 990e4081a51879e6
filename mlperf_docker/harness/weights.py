"""Named weights: what a network declares, what a file has, and every difference between the two at once."""

import json
import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import ModelFileError, first_ten
from mlperf_docker.harness.ops.base import Ops

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Shapes = dict[str, tuple[int, ...]]

ALIGNMENT = 64
PIECE_BYTES = 16 << 20
_LENGTH_BYTES = 8
_KINDS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types by the names that safetensors has for them."""


class Weights(Protocol[T_co]):
    """How a network asks for a weight: by name, saying the shape that it needs."""

    def __call__(self, name: str, *shape: int) -> T_co:
        """The weight *name*."""
        ...


class _Silence:
    """Operations that do nothing, for a network that is only asked what weights it has."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_options: None


def declared(network: Callable[[Ops[Any], Weights[Any]], object]) -> Shapes:
    """Names and shapes of all weights that *network* asks for, found by running it over operations that do nothing."""
    shapes: Shapes = {}

    def record(name: str, *shape: int) -> None:
        shapes[name] = shape

    network(cast("Ops[Any]", _Silence()), record)
    return shapes


def check(shapes: Shapes, arrays: Mapping[str, NDArray[Any]], source: str) -> None:
    """Raise ModelFileError, naming every missing, unused or misshapen tensor, unless *arrays* are exactly *shapes*."""
    missing = [f"missing: {name} {list(shape)}" for name, shape in shapes.items() if name not in arrays]
    unused = [f"unused: {name} {list(array.shape)}" for name, array in arrays.items() if name not in shapes]
    misshapen = [
        f"shape: {name} should be {list(shape)}, is {list(arrays[name].shape)}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape
    ]
    lines = [*missing, *misshapen, *unused]
    if lines:
        count = f"{len(missing)} missing, {len(misshapen)} misshapen, {len(unused)} unused"
        raise ModelFileError(f"{source} does not fit the network: {count}", details=first_ten(lines))


class ArrayWeights(Generic[T]):
    """Weights out of arrays that were checked, each given to the operations once."""

    def __init__(self, ops: Ops[T], arrays: Mapping[str, NDArray[Any]]) -> None:
        self._ops = ops
        self._arrays = arrays
        self._given: dict[str, T] = {}

    def __call__(self, name: str, *shape: int) -> T:  # noqa: ARG002
        """The weight *name*; its shape was checked when the file was read."""
        if name not in self._given:
            self._given[name] = self._ops.constant(name, self._arrays[name])
        return self._given[name]


def read(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a safetensors file. Raises ModelFileError if it is damaged."""
    import safetensors.numpy

    try:
        return dict(safetensors.numpy.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        size = path.stat().st_size if path.exists() else 0
        raise ModelFileError(f"{path} ({size} bytes) is no safetensors file: {error}") from error


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The same tensors as views of the mapped file: nothing is read before somebody looks. Raises ModelFileError."""
    try:
        file: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        start = _LENGTH_BYTES + int.from_bytes(file[:_LENGTH_BYTES].tobytes(), "little")
        header = json.loads(file[_LENGTH_BYTES:start].tobytes())
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _view(file[start:], entry) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        size = path.stat().st_size if path.exists() else 0
        raise ModelFileError(f"{path} ({size} bytes) is no safetensors file: {error}") from error


def _view(data: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    """A tensor out of the part of a file that holds them all."""
    first, last = entry["data_offsets"]
    dtype, shape = np.dtype(_KINDS[entry["dtype"]]), tuple(entry["shape"])
    if not 0 <= first <= last <= len(data):
        raise ValueError(f"a tensor ends {last - len(data)} bytes behind the file")
    return data[first:last].view(dtype).reshape(shape)


def populate(array: NDArray[Any]) -> None:
    """Bring a contiguous mapped array into memory now, rather than page by page while LoadGen measures."""
    if array.size:
        array.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max()


def write(path: Path, arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str] | None = None) -> None:
    """Write *arrays* as a safetensors file, piece by piece: of a mapped array there is never a copy in memory.

    kinds: dtypes, by name, that arrays are converted to. The largest come first, and the first where 64 divides its
    place, so that tables lie as backends like them.
    """
    types = {name: np.dtype((kinds or {}).get(name, array.dtype)) for name, array in arrays.items()}
    order = sorted(arrays, key=lambda name: -arrays[name].size * types[name].itemsize)
    codes = {np.dtype(kind): code for code, kind in _KINDS.items()}
    header, end = {}, 0
    for name in order:
        start, end = end, end + arrays[name].size * types[name].itemsize
        header[name] = {"dtype": codes[types[name]], "shape": list(arrays[name].shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        for name in order:
            for piece in _pieces(arrays[name]):
                stream.write(np.ascontiguousarray(piece, dtype=types[name]).data)


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Parts of an array along its first axis, of about PIECE_BYTES."""
    if not array.ndim:
        yield array.reshape(1)
        return
    rows = max(1, PIECE_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
