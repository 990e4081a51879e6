"""The tensors of a model's interface."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlperf_docker.harness.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a model's interface. shape: None stands for an axis of any length (the batch)."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        axes = ", ".join("N" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} {self.dtype} [{axes}]"


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs that a model takes, and outputs that the harness fetches (a file may have more).

    ragged: the outputs have no axis for samples, and their length depends on the sample; such a model is run one sample
    at a time, and a backend pads its outputs with zeros and stacks them. watched: fetched behind the outputs, where a
    file has them, to see that they are finite.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ragged: bool = False
    watched: tuple[Tensor, ...] = ()

    def fetching(self, *names: str) -> "Interface":
        """The same inputs, and of the outputs those called *names*."""
        by_name = {tensor.name: tensor for tensor in self.outputs}
        return Interface(self.inputs, tuple(by_name[name] for name in names), self.ragged)


def differences(kind: str, wanted: Sequence[Tensor], found: Sequence[Tensor], *, exact: bool) -> list[str]:
    """What keeps *found* from serving as *wanted*, a line each. exact: tensors nobody asked for count too."""
    by_name = {tensor.name: tensor for tensor in found}
    lines = []
    for tensor in wanted:
        other = by_name.pop(tensor.name, None)
        if other is None:
            lines.append(f"{kind} {tensor} is missing")
        elif other.dtype != tensor.dtype or not _fits(tensor.shape, other.shape):
            lines.append(f"{kind} {tensor.name} should be {tensor}, is {other}")
    return lines + [f"{kind} {tensor} is not expected" for tensor in by_name.values() if exact]


def _fits(wanted: Sequence[int | None], found: Sequence[int | None]) -> bool:
    """Whether *found* takes every shape that *wanted* stands for; an axis that found leaves open takes any length.

    The first axis may be fixed all the same: a file exported for batches of one is fed one by one.
    """
    if len(wanted) != len(found):
        return False
    return all(
        there in (None, here) or (position == 0 and here is None)
        for position, (here, there) in enumerate(zip(wanted, found, strict=True))
    )


def check(source: str, interface: Interface, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Raise ModelFileError, with every difference, if a file's *inputs* and *outputs* are not those of *interface*."""
    lines = differences("input", interface.inputs, inputs, exact=True)
    # An output that the exporter left without a shape still has a name and a type to go by.
    known = [
        Tensor(t.name, t.dtype, t.shape or w.shape) for t in outputs for w in interface.outputs if w.name == t.name
    ]
    lines += differences("output", interface.outputs, known, exact=False)
    if lines:
        names = ", ".join(tensor.name for tensor in outputs)
        details = [*lines, f"outputs of the file: {names}"]
        raise ModelFileError(f"{source} is not this model: other inputs or outputs", details=details)
