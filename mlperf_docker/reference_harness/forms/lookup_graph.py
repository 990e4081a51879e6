"""ONNX file of DLRM with its tables: rows are looked up in the graph, out of indices with one for each row."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.models.dlrm.dataset import TABLES
from mlperf_docker.harness.models.dlrm.network import PREDICTION, checked, table_name
from mlperf_docker.harness.ops.onnx import serialize

VECTORS = "vectors"
"""Input of the network of which the graph's look-up takes the place."""
SUFFIX = ".tables"
LARGE = 1 << 10
"""Bytes of an initializer that is in a file beside the graph's: one file ends at 2 GB."""


def write(arrays: Named, path: Path) -> None:
    """Write the network with *arrays* as *path*: dense_x, offsets and indices to predictions."""
    model = onnx.load_from_string(serialize(checked(arrays, str(path))))
    graph = model.graph
    _replace(graph.input, [each for each in graph.input if each.name != VECTORS] + _inputs())
    _replace(graph.output, [each for each in graph.output if each.name == PREDICTION.name])
    graph.initializer.extend(
        numpy_helper.from_array(arrays[table_name(number)], table_name(number)) for number in range(TABLES)
    )
    _replace(graph.node, [*_lookup(), *graph.node])
    onnx.save(model, str(path), save_as_external_data=True, location=path.name + SUFFIX, size_threshold=LARGE)


def _replace(field: Any, values: list[Any]) -> None:  # noqa: ANN401 (a repeated field of protobuf's)
    kept = [type(each).FromString(each.SerializeToString()) for each in values]
    del field[:]
    field.extend(kept)


def _inputs() -> list[onnx.ValueInfoProto]:
    """Where each bag of indices begins, which with one in each is its number, and the indices: (tables, rows)."""
    return [helper.make_tensor_value_info(name, TensorProto.INT64, [TABLES, "N"]) for name in ("offsets", "indices")]


def _lookup() -> list[onnx.NodeProto]:
    """Nodes that make (rows, tables, width) of the indices."""
    ids = [f"lookup.ids.{number}" for number in range(TABLES)]
    rows = [f"lookup.rows.{number}" for number in range(TABLES)]
    nodes = [helper.make_node("Split", ["indices"], ids, axis=0, name="lookup.split")]
    for number, (index, row) in enumerate(zip(ids, rows, strict=True)):
        nodes.append(helper.make_node("Gather", [table_name(number), index], [f"{row}.first"]))
        nodes.append(helper.make_node("Transpose", [f"{row}.first"], [row], perm=[1, 0, 2]))
    return [*nodes, helper.make_node("Concat", rows, [VECTORS], axis=1)]
