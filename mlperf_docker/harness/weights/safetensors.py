"""Safetensors files: named weights written and read, with every difference from the declared ones at once."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import ModelFileError, damaged, first_ten
from mlperf_docker.harness.system.files import require_file
from mlperf_docker.harness.weights.naming import plain
from mlperf_docker.harness.weights.numbers import all_finite, pieces

ALIGNMENT = 64
_LENGTH_BYTES = 8
_KINDS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types by the names that safetensors has for them."""
MOST_HEADER_BYTES = 16 << 20
"""Of names, shapes and places of tensors in a safetensors file; a thousand of them take 100 KB."""
WIDENED_MOST = 1 << 30
"""Bytes in memory that a mapped tensor may take because numpy lacks its type."""


def read(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a safetensors file, with `plain` names; types that numpy lacks become float32.

    Raises ModelFileError if it is damaged.
    """
    entries = plain(_entries(path))
    return {name: np.array(entry.array()) for name, entry in entries.items()}


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The same tensors as views of the mapped file: nothing is read before somebody looks. Raises ModelFileError.

    Large ones have to be of a type that numpy has: another's would have to be copied.
    """
    entries = plain(_entries(path))
    large = [f"{name}: {entry.kind}" for name, entry in entries.items() if entry.widened_bytes > WIDENED_MOST]
    if large:
        hint = "Save it as F16 or F32, which are used where they are."
        raise ModelFileError(f"{path} has large tensors of a type that needs a copy", hint=hint, details=large)
    return {name: entry.array() for name, entry in entries.items()}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor in a safetensors file: its type by the name there, its shape, and its bytes in the mapped file."""

    kind: str
    shape: tuple[int, ...]
    content: NDArray[np.uint8]

    @property
    def widened_bytes(self) -> int:
        """Bytes of the copy that has to be made, or 0."""
        return 0 if self.kind in _KINDS else int(np.prod(self.shape)) * 4

    def array(self) -> NDArray[Any]:
        """A view of the file where numpy has the type, else a copy in float32."""
        if self.kind in _KINDS:
            return self.content.view(_KINDS[self.kind]).reshape(self.shape)
        return _WIDENED[self.kind](self.content).reshape(self.shape)


def _brain(content: NDArray[np.uint8]) -> NDArray[np.float32]:
    """bfloat16: the upper half of a float32."""
    return (content.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _minifloat(exponent_bits: int, *, infinite: bool) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Numbers of 8 bits: a sign, so many of an exponent, and a fraction. Source: arXiv 2209.05433, table 1.

    infinite: the largest exponent is that of infinity and NaN, as IEEE 754 has it; else only all ones are NaN.
    """
    fraction_bits, bias = 7 - exponent_bits, (1 << (exponent_bits - 1)) - 1
    codes = np.arange(128)
    exponents, fractions = codes >> fraction_bits, (codes & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    values = np.where(exponents == 0, fractions * 2.0, 1 + fractions) * 2.0 ** (exponents - bias)
    if infinite:
        values = np.where(exponents == exponents.max(), np.where(fractions == 0, np.inf, np.nan), values)
    else:
        values[-1] = np.nan
    table = np.concatenate((values, -values)).astype(np.float32)
    return lambda content: table[content]


_WIDENED: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {
    "BF16": _brain,
    "F8_E4M3": _minifloat(4, infinite=False),
    "F8_E5M2": _minifloat(5, infinite=True),
}
"""How types that numpy lacks become float32."""


def _entries(path: Path) -> dict[str, _Entry]:
    """The tensors of a safetensors file. Raises ModelFileError."""
    import safetensors

    require_file(path)
    with path.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if header_bytes > MOST_HEADER_BYTES:
        raise damaged(path, "safetensors file", f"its header would have {header_bytes} bytes")
    try:
        with safetensors.safe_open(path, framework="numpy"):
            pass  # it looks whether the tensors lie one after the other and fill the file
        file: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
        start = _LENGTH_BYTES + header_bytes
        header = json.loads(file[_LENGTH_BYTES:start].tobytes())
    except (OSError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise damaged(path, "safetensors file", error) from error
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    other = [f"{name}: {entry['dtype']}" for name, entry in entries.items() if not _known(entry["dtype"])]
    if other:
        known = ", ".join((*_KINDS, *_WIDENED))
        hint = f"Save it in one of the types that are read: {known}"
        raise ModelFileError(f"{path} has tensors of a type that is not read", hint=hint, details=first_ten(other))
    return {
        name: _Entry(entry["dtype"], tuple(entry["shape"]), file[start:][slice(*entry["data_offsets"])])
        for name, entry in entries.items()
    }


def _known(kind: str) -> bool:
    return kind in _KINDS or kind in _WIDENED


def write(
    path: Path, arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str] | None = None, source: str = "the result"
) -> None:
    """Write *arrays* as a safetensors file, piece by piece: of a mapped array there is never a copy in memory.

    kinds: dtypes, by name, that arrays are converted to. The largest come first, and the first where 64 divides its
    place, so that tables lie as backends like them. source: where they come from. Raises ModelFileError where a number
    is not finite, in the type that it is written in.
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
            for piece in pieces(arrays[name]):
                with np.errstate(over="ignore"):
                    converted = np.ascontiguousarray(piece, dtype=types[name])
                if not _writable(converted):
                    message = f"{name} of {source} has numbers that are not finite, or too large for {types[name]}"
                    raise ModelFileError(message)
                stream.write(converted.data)


def _writable(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or all_finite(array)
