"""Preparation job of a model: samples to be made from files."""

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Reader(Protocol):
    """Makes one sample. Pickled into each worker process."""

    def prepare(self) -> None:
        """Import what `read` needs, in the process that will call it."""
        ...

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write sample *index* into *out*. Raises BadSample."""
        ...


@dataclass(frozen=True, slots=True)
class Preparation:
    """Array to make from files."""

    identity: str
    version: str
    names: Sequence[str]
    """Names of the samples, for messages."""
    sizes: Sequence[int]
    """Bytes to read for each sample."""
    shape: tuple[int, ...]
    """Shape of one sample."""
    dtype: str
    reader: Reader
    files: Sequence[tuple[str, ...]]
    """Paths that each sample is made from."""
    shapes: Sequence[tuple[int, ...]] = ()
    """Shape of each sample, if they differ; then *shape* is not used."""
    chunk: int | None = None
    """Samples that a process takes at once; by default 32."""

    @property
    def key(self) -> str:
        """Name of the cache entry."""
        return hashlib.sha256(f"{self.version}\n{self.identity}".encode()).hexdigest()[:20]

    @property
    def index(self) -> dict[str, Any]:
        """What index.json says."""
        fields: dict[str, Any] = {"count": len(self.names), "shape": list(self.shape), "dtype": self.dtype}
        if self.shapes:
            fields["shape"] = [list(shape) for shape in self.shapes]
        return {"version": self.version, "identity": self.identity, **fields, "bytes": self.bytes}

    @property
    def whole(self) -> tuple[int, ...]:
        """Shape of the array with all samples."""
        return (sum(map(math.prod, self.shapes)),) if self.shapes else (len(self.names), *self.shape)

    @property
    def bytes(self) -> int:
        """Size of the samples alone."""
        return math.prod(self.whole) * np.dtype(self.dtype).itemsize

    @property
    def starts(self) -> list[int]:
        """Where each sample of an own shape begins in the array, counted in values, and where the last one ends."""
        return [0, *itertools.accumulate(map(math.prod, self.shapes))]

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Shape of a sample."""
        return self.shapes[index] if self.shapes else self.shape
