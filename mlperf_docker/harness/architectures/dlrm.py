"""DLRM, written once over `ops`, with the weight names of the official checkpoint.

Source: facebookresearch/dlrm, dlrm_s_pytorch.py, with the dot interaction and no interaction of a vector with itself.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.named_weights import Weights
from mlperf_docker.harness.api.ops import Ops

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DlrmConfig:
    """Size of the network."""

    bottom: tuple[int, ...] = (13, 512, 256, 128)
    """Widths of the bottom layers, the input first; the last is as wide as a row of the tables."""
    top: tuple[int, ...] = (479, 1024, 1024, 512, 256, 1)
    """Widths of the top layers; the first is what `interacted` says."""
    tables: int = 26
    """Number of categories in a row."""

    @property
    def width(self) -> int:
        """Values in a row of each table."""
        return self.bottom[-1]

    @property
    def interacted(self) -> int:
        """Values that leave the interaction: the bottom stack's, and one for each pair of vectors."""
        return self.width + self.tables * (self.tables + 1) // 2


FULL = DlrmConfig()


def pairs(vectors: int) -> NDArray[np.int64]:
    """Places of the pairs (i, j < i) in a flattened square of *vectors* rows, row by row."""
    rows, columns = np.tril_indices(vectors, -1)
    return (rows * vectors + columns).astype(np.int64)


def _layers(ops: Ops[T], w: Weights[T], x: T, name: str, widths: tuple[int, ...]) -> list[T]:
    """What leaves each layer of a stack, before its activation; the odd numbers of the names are the activations."""
    found: list[T] = []
    for number, (before, after) in enumerate(pairwise(widths)):
        x = ops.relu(found[-1]) if found else x
        place = f"{name}.{2 * number}"
        found.append(ops.linear(x, w(f"{place}.weight", after, before), w(f"{place}.bias", after)))
    return found


def dlrm(ops: Ops[T], w: Weights[T], dense: T, vectors: T, config: DlrmConfig = FULL) -> T:
    """Logits (batch, 1) of a click.

    dense: (batch, 13), logarithms already taken; vectors: (batch, tables, width), a row of each table.
    """
    x = ops.relu(_layers(ops, w, dense, "bot_l", config.bottom)[-1])
    count = config.tables + 1
    together = ops.concat([ops.reshape(x, 1, config.width), vectors], axis=1)
    products = ops.reshape(ops.row_products(together, together), count * count)
    x = ops.concat([x, ops.select(products, pairs(count))], axis=1)
    return _layers(ops, w, x, "top_l", config.top)[-1]


def weights_of(ops: Ops[Any], w: Weights[Any], config: DlrmConfig) -> None:
    """Ask for every weight of a network of this size, but for the tables."""
    dlrm(ops, w, None, None, config)
