"""Numbers of weights: conversion to float32, search for values that are not finite."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import ModelFileError, first_ten

PIECE_BYTES = 1 << 20
"""Bytes of an array that are worked on at once: what a processor's caches hold."""
_BEYOND_NUMPY = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})
"""Floating-point types that ml_dtypes adds, as the onnx package gives them."""
_HALF_EXPONENT = np.uint16(0x7C00)


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of a type that ml_dtypes adds to numpy's as float32; others as they are."""
    return array.astype(np.float32) if array.dtype.name in _BEYOND_NUMPY else array


def as_float32(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers with a point as float32, itself where it is that; others as they are. Too large ones become infinite."""
    if array.dtype == np.float32 or not (array.dtype.kind == "f" or array.dtype.name in _BEYOND_NUMPY):
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def refuse_not_finite(source: str, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Raise ModelFileError, naming the tensors, if a weight is NaN or infinite: no output would mean anything."""
    places = ((name, array, odd_place(array)) for name, array in arrays)
    lines = [f"{name}{list(place)} is {array[place]}" for name, array, place in places if place is not None]
    if lines:
        raise ModelFileError(
            f"{source} has weights that are not finite, in {len(lines)} {'tensors' if len(lines) > 1 else 'tensor'}",
            hint="It was saved after a training that diverged, converted to a type too small for it, or damaged.",
            details=first_ten(lines),
        )


def odd_place(array: NDArray[Any]) -> tuple[int, ...] | None:
    """Where the first number is that is not finite, or None. Looked at in pieces: there is no copy of the whole."""
    if array.dtype.kind != "f" and array.dtype.name not in _BEYOND_NUMPY:
        return None
    if not array.ndim:
        return None if np.isfinite(array) else ()
    start = 0
    for piece in pieces(array):
        if not all_finite(piece):
            first = int(np.flatnonzero(~np.isfinite(piece))[0])
            row, *rest = np.unravel_index(first, piece.shape)
            return (start + int(row), *map(int, rest))
        start += len(piece)
    return None


def all_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are finite. numpy has no quick way for halves, whose exponent is all ones where they are."""
    if array.dtype != np.float16 or not array.dtype.isnative:
        return bool(np.isfinite(array).all())
    return not ((array.view(np.uint16) & _HALF_EXPONENT) == _HALF_EXPONENT).any()


def pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Parts of an array along its first axis, of about PIECE_BYTES."""
    if not array.ndim:
        yield array.reshape(1)
        return
    rows = max(1, PIECE_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
