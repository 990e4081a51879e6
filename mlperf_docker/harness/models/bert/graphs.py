"""Inspection of official graphs: interface and size of BERT, without running them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.architectures.bert import FULL, BertConfig
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.weights.formats import no_native
from mlperf_docker.harness.weights.onnx_files import load_graph

KNOWN = (ModelFormat.ONNX, ModelFormat.FROZEN_GRAPH)


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph that a backend runs as it is.

    Of two outputs the first is the start's; a single one has both on its last axis.
    """

    interface: Interface
    config: BertConfig
    """Size of the network."""
    variant: str
    """Name of the official file, for people."""


def look(path: Path, format: ModelFormat) -> Graph:  # noqa: A002
    """Look into a graph. Raises ModelFileError if it is damaged, no BERT, or another BERT than MLPerf's."""
    if format not in KNOWN:
        raise no_native("bert", path, format, KNOWN)
    graph = _onnx(path) if format is ModelFormat.ONNX else _frozen(path)
    networks.refuse_other(graph.config, str(path))
    return graph


def _onnx(path: Path) -> Graph:
    graph = load_graph(path)
    tables = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    config = _config(tables, sum(node.op_type == "Softmax" for node in graph.node), str(path))
    inputs = {value.name for value in graph.input} - set(tables)
    outputs = [value.name for value in graph.output]
    if set(networks.INT8_INPUTS) <= inputs and len(outputs) > 1:
        # The file's outputs have names of their own; the first is the start's.
        return Graph(networks.onnx_interface(networks.INT8_INPUTS, *outputs[:2]), config, "official int8 ONNX graph")
    if "logits" in outputs:
        return Graph(networks.OWN, config, "ONNX graph that convert wrote")
    return Graph(networks.OFFICIAL, config, "official ONNX graph")


def _frozen(path: Path) -> Graph:
    from mlperf_docker.harness.backends.tensorflow.backend import read_graph

    nodes = read_graph(path).get_operations()
    tables = {
        node.name: tuple(node.outputs[0].shape)
        for node in nodes
        if node.type == "Const" and node.outputs[0].shape.rank is not None
    }
    config = _config(tables, sum(node.type == "Softmax" for node in nodes), str(path))
    return Graph(networks.FROZEN, config, "official frozen graph")


def _config(tables: Mapping[str, tuple[Any, ...]], layers: int, source: str) -> BertConfig:
    """The size of network, told from the shapes of its tables and from how many times it takes a softmax."""
    words, positions = (_named(tables, part) for part in ("word_embeddings", "position_embeddings"))
    if not layers or not words:
        raise ModelFileError(
            f"{source} does not hold a BERT: it has {layers} layers of attention and {len(words)} tables of words",
            hint="It is another model's file, or a BERT whose names mean nothing.",
        )
    vocabulary, hidden = words[0]
    rows = positions[0][0] if positions else FULL.positions
    return BertConfig(layers, hidden, 4 * hidden, vocabulary, rows)


def _named(tables: Mapping[str, tuple[Any, ...]], part: str) -> list[tuple[int, int]]:
    """Shapes of the tables with *part* in their name. A quantised graph may have others, of scales, beside them."""
    return [(shape[0], shape[1]) for name, shape in tables.items() if part in name and len(shape) == 2]
