"""Network of DLRM around weights: tables for the framework, and tables that stay with the host."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError, first_ten
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.dlrm import DlrmConfig, dlrm, weights_of
from mlperf_docker.harness.models.dlrm.dataset import DENSE, TABLES
from mlperf_docker.harness.models.dlrm.lookup import DENSE_X, Lookup, Population, SplitLookup

TABLE = re.compile(r"emb_l\.(\d+)\.weight$")
HALF = np.dtype(np.float16)
KINDS = (np.dtype(np.float32), HALF)
"""Types that a table may have; all of a model have the same."""

PREDICTION = Tensor("pred", "float32", (None, 1))
OUTPUTS = (PREDICTION, Tensor("logits", "float32", (None, 1)))


def table_name(number: int) -> str:
    """The name of a table in the official checkpoint."""
    return f"emb_l.{number}.weight"


def _widths(arrays: Mapping[str, NDArray[Any]], stack: str) -> tuple[int, ...]:
    """Widths of a stack of layers, that of its input first, out of its weights' shapes; empty where there are none."""
    numbers = sorted(int(name.split(".")[1]) for name in arrays if re.match(rf"{stack}\.\d+\.weight$", name))
    shapes = [arrays[f"{stack}.{number}.weight"].shape for number in numbers]
    if not shapes or any(len(shape) != 2 for shape in shapes):
        return ()
    return (int(shapes[0][1]), *(int(shape[0]) for shape in shapes))


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> DlrmConfig:
    """The size of network that *arrays* belong to. Raises ModelFileError where that cannot be told, or is no DLRM's."""
    bottom, top = _widths(arrays, "bot_l"), _widths(arrays, "top_l")
    tables = [name for name in arrays if TABLE.match(name)]
    if not bottom or not top or len(tables) != TABLES:
        found = (
            f"{len(tables)} tables, {max(0, len(bottom) - 1)} layers at the bottom, {max(0, len(top) - 1)} at the top"
        )
        raise ModelFileError(f"{source} does not hold a DLRM with {TABLES} tables: {found}")
    config = DlrmConfig(bottom, top)
    wrong = []
    if bottom[0] != DENSE:
        wrong.append(f"bot_l.0.weight takes {bottom[0]} numbers, not {DENSE}")
    if top[0] != config.interacted:
        wrong.append(
            f"top_l.0.weight takes {top[0]} values; {TABLES} tables of width {config.width} give {config.interacted}"
        )
    if top[-1] != 1:
        wrong.append(f"the last layer gives {top[-1]} values, not one")
    if wrong:
        raise ModelFileError(f"{source} is another DLRM than MLPerf's", details=wrong)
    return config


def check(arrays: Mapping[str, NDArray[Any]], config: DlrmConfig, source: str) -> None:
    """Raise ModelFileError, with every difference, unless *arrays* are the weights of such a network.

    Tables may have any number of rows, but all the same width and type.
    """
    shapes = named_weights.declared(lambda ops, w: weights_of(ops, w, config))
    for number in range(TABLES):
        table = arrays.get(table_name(number))
        rows = len(table) if table is not None and table.ndim else 1
        shapes[table_name(number)] = (rows, config.width)
    named_weights.check(shapes, arrays, source)
    kinds = {name: str(array.dtype) for name, array in arrays.items()}
    tables = [kinds[table_name(number)] for number in range(TABLES)]
    odd = [
        f"{table_name(n)}: {kind}" for n, kind in enumerate(tables) if np.dtype(kind) not in KINDS or kind != tables[0]
    ]
    odd += [f"{name}: {kind}" for name, kind in kinds.items() if not TABLE.match(name) and kind != "float32"]
    if odd:
        message = f"{source}: tables are all float32 or all float16, everything else is float32"
        raise ModelFileError(message, details=first_ten(odd))


def _vectors(ops: Any, vectors: Any, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 (any backend's tensors)
    return ops.to_float(vectors) if dtype == HALF else vectors


def network(arrays: Mapping[str, NDArray[Any]], config: DlrmConfig, source: str = "dlrm") -> Network:
    """The network whose tables all stay with the host: dense_x (N, 13), vectors (N, 26, width) to pred (N, 1).

    source: what the weights came from, for messages.
    """
    tables = tuple(arrays[table_name(number)] for number in range(TABLES))
    layers = {name: array for name, array in arrays.items() if not TABLE.match(name)}
    dtype = tables[0].dtype

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        logits = dlrm(ops, w, inputs[0], _vectors(ops, inputs[1], dtype), config)
        return ops.sigmoid(logits), logits

    vectors = Tensor("vectors", str(dtype), (None, TABLES, config.width))
    return Network("dlrm", Interface((DENSE_X, vectors), OUTPUTS), layers, build, Lookup(tables, population(source)))


def population(source: str) -> Population:
    """What brings the tables in the file *source* into memory."""
    return Population(source, [table_name(number) for number in range(TABLES)])


@dataclass(frozen=True, slots=True)
class _Split:
    """The build of a network that has a part of the tables."""

    config: DlrmConfig
    resident: tuple[int, ...]
    """Rows of each table that the framework has."""
    partial: tuple[int, ...]
    dtype: np.dtype[Any]

    def __call__(self, ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        dense, hot, kept, cold, vectors = inputs
        parts = []
        for number, rows in enumerate(self.resident):
            found = None
            if rows:
                table = w(table_name(number), rows, self.config.width)
                found = ops.embedding(table, ops.slice(hot, number, number + 1))
            if number in self.partial:
                place = self.partial.index(number)
                own = ops.embedding(vectors, ops.slice(cold, place, place + 1))
                counts = ops.reshape(ops.slice(kept, place, place + 1), 1, 1)
                found = own if found is None else ops.add(ops.mul(found, counts), own)
            parts.append(found)
        logits = dlrm(ops, w, dense, _vectors(ops, ops.concat(parts, axis=1), self.dtype), self.config)
        return ops.sigmoid(logits), logits


def split_network(
    arrays: Mapping[str, NDArray[Any]], config: DlrmConfig, resident: tuple[int, ...], source: Population | None = None
) -> Network:
    """The same network with the first rows of each table, as many as *resident* says, on the device."""
    tables = tuple(arrays[table_name(number)] for number in range(TABLES))
    front = SplitLookup(tables, resident, source or population("dlrm"))
    held = {name: array for name, array in arrays.items() if not TABLE.match(name)}
    for number, rows in enumerate(resident):
        if rows:
            held[table_name(number)] = tables[number][:rows]
    build = _Split(config, resident, front.partial, tables[0].dtype)
    inputs = (
        DENSE_X,
        Tensor("hot", "int64", (None, TABLES)),
        Tensor("kept", str(tables[0].dtype), (None, len(front.partial))),
        Tensor("cold", "int64", (None, len(front.partial))),
        Tensor("vectors", str(tables[0].dtype), (None, config.width)),
    )
    return Network("dlrm", Interface(inputs, OUTPUTS), held, build, front)


def checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Network:
    """The network around *arrays*. Raises ModelFileError with every missing, unused or misshapen one."""
    config = config_of(arrays, source)
    check(arrays, config, source)
    return network(arrays, config, source)
