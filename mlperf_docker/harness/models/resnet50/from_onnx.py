"""Weights of the official ONNX graph, resnet50_v1.onnx, and of graphs that `convert` wrote.

tf2onnx made the official one out of the frozen graph. It folded all normalisations but the first into the convolutions
before them, gave these names of no meaning, and sorted the nodes in its own way; so each convolution is known by where
it lies between the input and the classifier.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.foreign import EPSILON, check_settings, norm_of
from mlperf_docker.harness.weights.onnx_files import load_graph, values

Arrays = dict[str, NDArray[Any]]
Node = Any
"""An onnx.NodeProto, which comes without types."""

PASSED = frozenset({"Relu", "Pad", "MaxPool", "Identity", "BatchNormalization", "Cast"})
"""Operators between the convolutions."""
UNIT_VARIANCE = np.float32(1 - EPSILON)
"""A variance that leaves values as they are: in float32 it makes 1 together with epsilon, and a kernel that is folded
in float64 changes by 7e-9 of itself, which rounding to float32 takes back."""


def read(path: Path) -> Arrays:
    """Weights with torchvision's names. Raises ModelFileError, naming every tensor that is missing or left over."""
    graph = _Graph(load_graph(path), str(path))
    arrays = _official(graph) if "conv1.weight" not in graph.tables else graph.unused()
    shapes = networks.shapes(networks.config_of(arrays, str(path)))
    named_weights.check(shapes, arrays | graph.unused(), str(path))
    return arrays


class _Graph:
    """A graph's nodes by what they take, and its tables of numbers, each marked when it is used."""

    def __init__(self, graph: Any, source: str) -> None:  # noqa: ANN401
        self.source = source
        self.tables = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = [value.name for value in graph.input if value.name not in self.tables]
        self.nodes: list[Node] = list(graph.node)
        self._places = {output: place for place, node in enumerate(self.nodes) for output in node.output}
        self._takers: dict[str, list[int]] = defaultdict(list)
        for place, node in enumerate(self.nodes):
            for name in node.input:
                self._takers[name].append(place)
        self._used: set[str] = set()

    def table(self, name: str) -> NDArray[Any]:
        """The table *name*, from now on used. Raises ModelFileError if it is none: a value computed at run time."""
        if name not in self.tables:
            raise ModelFileError(f"{self.source}: weights {name} are no constant")
        self._used.add(name)
        return values(self.tables[name])

    def unused(self) -> Arrays:
        """Tables of floating point numbers that nobody asked for. Single numbers are settings, whole ones shapes."""
        rest = {name: values(self.tables[name]) for name in self.tables if name not in self._used}
        return {name: array for name, array in rest.items() if array.dtype.kind == "f" and array.size > 1}

    def takers(self, value: str) -> list[Node]:
        """The nodes that take *value*. A node is never behind one that it feeds, so no walk goes in circles."""
        made = self._places.get(value, -1)
        return [self.nodes[place] for place in self._takers[value] if place > made]

    def ahead(self, value: str) -> list[Node]:
        """What *value* reaches past the operators between the convolutions."""
        found = []
        for node in self.takers(value):
            found += self.ahead(node.output[0]) if node.op_type in PASSED else [node]
        return found

    def chain(self, convolution: Node) -> list[Node]:
        """A convolution and those that follow, up to the sum that ends a block, which comes last."""
        chain = [convolution]
        while chain[-1].op_type == "Conv":
            chain += self.ahead(chain[-1].output[0])[:1] or [None]
            if chain[-1] is None or chain[-1].op_type not in ("Conv", "Add", "Sum"):
                raise ModelFileError(f"{self.source} is not a ResNet: a chain of convolutions ends without a sum")
        return chain


def _attribute(node: Node, name: str, default: Any) -> Any:  # noqa: ANN401
    from onnx import helper

    values = [helper.get_attribute_value(each) for each in node.attribute if each.name == name]
    return values[0] if values else default


def _official(graph: _Graph) -> Arrays:
    convolutions = dict(_convolutions(graph))
    arrays: Arrays = {}
    epsilons: dict[str, float] = {}
    for name, node in convolutions.items():
        arrays[f"{name}.weight"] = graph.table(node.input[1])
        norms = [taker for taker in graph.takers(node.output[0]) if taker.op_type == "BatchNormalization"]
        arrays |= {f"{norm_of(name)}.{part}": array for part, array in _norm(graph, node, norms).items()}
        epsilons |= {norm_of(name): _attribute(norm, "epsilon", EPSILON) for norm in norms}
    strides = {name: max(_attribute(node, "strides", [1])) for name, node in convolutions.items()}
    check_settings(graph.source, strides, epsilons)
    return arrays | dict(_classifier(graph))


def _convolutions(graph: _Graph) -> Iterator[tuple[str, Node]]:
    """Every convolution on the way from the input, by name. A stage begins where the shortcut has a convolution."""
    first = [node for name in graph.inputs for node in graph.ahead(name)]
    if [node.op_type for node in first] != ["Conv"]:
        raise ModelFileError(f"{graph.source} is not a ResNet: it does not begin with a convolution")
    node = first[0]
    yield "conv1", node
    stage, block = 0, 0
    while convolutions := [each for each in graph.ahead(node.output[0]) if each.op_type == "Conv"]:
        *shortcut, main = sorted(map(graph.chain, convolutions), key=len)
        if [len(chain) for chain in shortcut] not in ([], [2]) or len(main) != 4:
            raise ModelFileError(f"{graph.source} is not a ResNet of bottlenecks, at {convolutions[0].name}")
        stage, block = (stage + 1, 0) if shortcut else (stage, block + 1)
        for chain in shortcut:
            yield f"layer{stage}.{block}.downsample.0", chain[0]
        for number in (1, 2, 3):
            yield f"layer{stage}.{block}.conv{number}", main[number - 1]
        node = main[-1]


def _norm(graph: _Graph, node: Node, norms: list[Node]) -> Arrays:
    """The four statistics of the normalisation after a convolution; where it was folded, of one that only adds."""
    channels = graph.table(node.input[1]).shape[0]
    bias = graph.table(node.input[2]) if len(node.input) > 2 else np.zeros(channels, dtype=np.float32)
    if norms:
        scale, offset, mean, variance = (graph.table(name) for name in norms[0].input[1:5])
        return {"weight": scale, "bias": offset, "running_mean": mean - bias, "running_var": variance}
    one, zero = np.ones(channels, dtype=np.float32), np.zeros(channels, dtype=np.float32)
    return {"weight": one, "bias": bias, "running_mean": zero, "running_var": UNIT_VARIANCE * one}


def _classifier(graph: _Graph) -> Iterator[tuple[str, NDArray[Any]]]:
    for node in graph.nodes:
        if node.op_type == "Gemm":
            weight = graph.table(node.input[1])
            yield "fc.weight", np.ascontiguousarray(weight if _attribute(node, "transB", 0) else weight.T)
            yield "fc.bias", graph.table(node.input[2])
        elif node.op_type == "MatMul":
            yield "fc.weight", np.ascontiguousarray(graph.table(node.input[1]).T)
            sums = (taker for taker in graph.takers(node.output[0]) if taker.op_type == "Add")
            tables = [name for taker in sums for name in taker.input if name in graph.tables]
            yield from (("fc.bias", graph.table(name)) for name in tables[:1])
