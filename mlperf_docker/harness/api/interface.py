"""Interface of a model: its input and output tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlperf_docker.harness.api.errors import ModelFileError

THROUGH = "Or take its weights, which run in batches of any size: mlperf-docker models convert … --to w.safetensors"
"""Advice for a graph that cannot be run as it is."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a model's interface."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    """Sizes of the axes; None for any length (the batch)."""

    def __str__(self) -> str:
        axes = ", ".join("N" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} {self.dtype} [{axes}]"


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs that a model takes, and outputs that the harness fetches (a file may have more)."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    ragged: bool = False
    """True if the outputs have no axis for samples and their length depends on the sample. Such a model runs one sample
    at a time; a backend pads its outputs with zeros and stacks them."""
    watched: tuple[Tensor, ...] = ()
    """Further outputs, where a file has them, fetched to see that they are finite."""

    @property
    def batch(self) -> int | None:
        """The only number of samples that it takes at once, or None for any."""
        return next((tensor.shape[0] for tensor in self.inputs if tensor.shape and tensor.shape[0] is not None), None)

    def with_batch(self, batch: int | None) -> "Interface":
        """The same for *batch* samples at once."""
        inputs = tuple(Tensor(each.name, each.dtype, (batch, *each.shape[1:])) for each in self.inputs)
        return replace(self, inputs=inputs)

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

    The first axis may be fixed all the same: a file exported for so many samples is fed with so many.
    """
    if len(wanted) != len(found):
        return False
    return all(
        there in (None, here) or (position == 0 and here is None)
        for position, (here, there) in enumerate(zip(wanted, found, strict=True))
    )


def check(source: str, interface: Interface, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int | None:
    """The number of samples that a file takes at once, None for any.

    Raises ModelFileError, with every difference, if its *inputs* and *outputs* are not those of *interface*.
    """
    lines = differences("input", interface.inputs, inputs, exact=True)
    # An output that the exporter left without a shape still has a name and a type to go by.
    known = [
        Tensor(t.name, t.dtype, t.shape or w.shape) for t in outputs for w in interface.outputs if w.name == t.name
    ]
    lines += differences("output", interface.outputs, known, exact=False)
    if lines:
        names = ", ".join(tensor.name for tensor in outputs)
        details = [*lines, f"outputs of the file: {names}"]
        raise ModelFileError(f"{source} is not this model: other inputs or outputs", hint=THROUGH, details=details)
    return fixed_batch(source, inputs, () if interface.ragged else known, ragged=interface.ragged)


def fixed_batch(source: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, ragged: bool) -> int | None:
    """The number of samples that a file takes at once, None for any. Raises ModelFileError where it has two.

    ragged: its outputs do not tell samples apart, so that only one at a time can be run.
    """
    sizes = {tensor.shape[0] for tensor in inputs if tensor.shape} - {None}
    if not sizes:
        return None
    numbers = sizes | ({tensor.shape[0] for tensor in outputs if tensor.shape} - {None})
    (batch, *others) = sorted(number for number in numbers if number is not None)
    if others or batch < 1 or (ragged and batch > 1):
        said = ", ".join(str(tensor) for tensor in (*inputs, *outputs))
        raise ModelFileError(
            f"the batch of {source} is fixed to {' and '.join(map(str, (batch, *others)))}: it cannot be filled",
            hint=f"Export it with a first axis of any length. {THROUGH}",
            details=[said],
        )
    return batch
