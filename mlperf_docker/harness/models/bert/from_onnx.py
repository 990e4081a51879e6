"""Weights of the official ONNX graph, model.onnx, and of graphs that `convert` wrote.

The exporter of PyTorch left tables, biases and normalisations their names, but not the weights of linear layers: it
transposed them and gave them numbers. Each is known by the bias that is added to its product.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.weights.onnx_files import load_graph, values

Arrays = dict[str, NDArray[Any]]

PREFIXES = ("bert.", "qa_outputs.")
QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear", "MatMulInteger", "QLinearMatMul"})


def read(path: Path) -> Arrays:
    """Weights with the checkpoint's names, and which GELU the graph has. Raises ModelFileError."""
    graph = load_graph(path)
    kinds = {node.op_type for node in graph.node}
    if kinds & QUANTISERS:
        raise ModelFileError(
            f"{path} is a quantised graph, whose weights are not taken apart",
            hint="Run it as it is on onnxruntime: --precision int8",
        )
    tables = {tensor.name: tensor for tensor in graph.initializer}
    found = {name: values(tables[name]) for name in tables if name.startswith(PREFIXES)}
    made = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        bias, product = _biased_product(node, tables, made)
        name = f"{bias.removesuffix('.bias')}.weight"
        if product is not None and name not in found:
            found[name] = np.ascontiguousarray(values(tables[product.input[1]]).T)
    arrays = {name: np.asarray(array) for name, array in found.items() if array.dtype.kind == "f"}
    return networks.marked(arrays, tanh="Erf" not in kinds and "Tanh" in kinds)


def _biased_product(node: Any, tables: Any, made: Any) -> tuple[str, Any]:  # noqa: ANN401 (nodes come without types)
    """Name of the bias that a node adds, and the product by a constant that it adds it to; else "" and None."""
    if node.op_type != "Add":
        return "", None
    biases = [name for name in node.input if name in tables and name.startswith(PREFIXES)]
    products = [made[name] for name in node.input if name in made and made[name].op_type == "MatMul"]
    if not biases or not products or products[0].input[1] not in tables:
        return "", None
    return biases[0], products[0]
