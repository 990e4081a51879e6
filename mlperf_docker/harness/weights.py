"""Named weights: what a network declares, what a file has, and every difference between the two at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import ModelFileError, first_ten
from mlperf_docker.harness.ops.base import Ops

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Shapes = dict[str, tuple[int, ...]]


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


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write *arrays* as a safetensors file."""
    import safetensors.numpy

    safetensors.numpy.save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
