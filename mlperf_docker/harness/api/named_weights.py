"""Named weights: the shapes that a network declares, checked against the arrays of a file."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar, cast

from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import ModelFileError, first_ten
from mlperf_docker.harness.api.ops import Ops

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Shapes = dict[str, tuple[int, ...]]


class Weights(Protocol[T_co]):
    """Function by which a network asks for a weight: by name, with the shape that it needs."""

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
    """Raise ModelFileError, naming every tensor at fault, unless *arrays* are exactly *shapes*, in floating point."""
    missing = [f"missing: {name} {list(shape)}" for name, shape in shapes.items() if name not in arrays]
    unused = [f"unused: {name} {list(array.shape)}" for name, array in arrays.items() if name not in shapes]
    known = {name: arrays[name] for name in shapes if name in arrays}
    misshapen = [
        f"shape: {name} should be {list(shapes[name])}, is {list(array.shape)}"
        for name, array in known.items()
        if array.shape != shapes[name]
    ]
    mistyped = [
        f"type: {name} should be float32, is {array.dtype}" for name, array in known.items() if array.dtype.kind != "f"
    ]
    lines = [*missing, *misshapen, *mistyped, *unused]
    if lines:
        counts = f"{len(missing)} missing, {len(misshapen)} misshapen, {len(unused)} unused"
        counts += f", {len(mistyped)} of another type" if mistyped else ""
        raise ModelFileError(f"{source} does not fit the network: {counts}", details=first_ten(lines))


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
