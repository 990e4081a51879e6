"""Samples of a benchmark: preprocessed inputs, payloads, callables around them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined

Report = Callable[[int, int, str], None]
"""Called with done, total and unit while a step works."""

Named = Mapping[str, NDArray[Any]]
"""Arrays by name."""

Postprocess = Callable[[Arrays, Sequence[int], NDArray[Any]], Sequence[int] | None]
"""Writes the payloads of a batch: outputs and sample indices of the batch, and the rows (batch, payload.width) to fill.

Gives the number of values in each payload, or None where every row is full."""


def write_rows(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int]:  # noqa: ARG001
    """Payloads out of values (n, longest), each row filled up, and how many count of each, (n,)."""
    values, lengths = outputs
    out[:, : values.shape[1]] = values
    return [int(length) for length in lengths]


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes that a sample answers with: up to *width* values of *dtype*."""

    dtype: DTypeLike
    width: int
    slow: bool = False
    """True if making payloads takes long enough to be done while the backend works on the next batch."""

    @property
    def bytes(self) -> int:
        """Of the longest answer."""
        return self.width * np.dtype(self.dtype).itemsize


Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]
"""Gives uninitialised memory that a backend reads samples from without a copy, or with a quick one."""


class Samples(Protocol):
    """Preprocessed samples on disk."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Where samples differ in length: that of each. Else None.

        It is along the second axis of all tensors, along the first where samples are concatenated, and along none of
        them where samples are apart.
        """
        ...

    @property
    def joined(self) -> Joined:
        """How samples of different length become a batch."""
        ...

    def load(self, indices: Sequence[int]) -> Arrays:
        """Input tensors of these samples, in this order, contiguous and ready for the backend.

        Samples of different length are filled up behind to that of the longest of all, or concatenated.
        """
        ...


class Dataset(Protocol):
    """A data set on disk, opened and checked."""

    @property
    def count(self) -> int:
        """Samples that LoadGen sees."""
        ...


D = TypeVar("D", bound=Dataset)
"""A benchmark's own data set."""

F = TypeVar("F")
"""The form that a model takes its samples in: numerics and layout. None where all models take the same."""

S = TypeVar("S", bound=Samples)
"""A benchmark's own preprocessed samples."""
