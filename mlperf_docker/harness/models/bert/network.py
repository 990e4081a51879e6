"""BERT's interfaces: those of its official graphs, and the network around weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.bert import ANSWERS, FULL, HEAD, BertConfig, bert

LENGTH = 384
"""Tokens of the longest sample, and of every sample where an official graph has the length fixed."""
TINY = BertConfig(layers=2, hidden=128, intermediate=512, positions=LENGTH)
"""Of the small synthetic network. By its positions it differs from every published BERT; its vocabulary may be any."""

GELU_TANH = "gelu.tanh"
"""A tensor that says, by being there, that GELU is the approximation: weights have to carry it from TensorFlow's files
into a safetensors file and on."""

INPUTS = ("input_ids", "input_mask", "segment_ids")
INT8_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""Of the official int8 graph: in the same order, the same things."""
OWN = Interface(
    tuple(Tensor(name, "int64", (None, None)) for name in INPUTS),
    (Tensor("logits", "float32", (None, None, ANSWERS)),),
)
"""Of the network, and of the graph that `convert` writes: batches and sequences of any size."""
FROZEN = Interface(
    tuple(Tensor(f"{name}:0", "int32", (None, LENGTH)) for name in INPUTS),
    (Tensor("logits:0", "float32", (None, LENGTH, ANSWERS)),),
)
"""Of the official frozen graph, which takes one sample at a time."""

_EMBEDDINGS = "bert.embeddings"
_LAYER = "bert.encoder.layer."
_PARTS = (
    f"{_EMBEDDINGS}.word_embeddings.weight",
    f"{_EMBEDDINGS}.position_embeddings.weight",
    f"{_EMBEDDINGS}.token_type_embeddings.weight",
    f"{_LAYER}0.intermediate.dense.weight",
)
_SIZES = {
    (24, 1024): "BERT-Large",
    (12, 768): "BERT-Base",
    (8, 512): "BERT-Medium",
    (4, 512): "BERT-Small",
    (4, 256): "BERT-Mini",
    (2, 128): "BERT-Tiny",
}
"""Of layers and features, as published."""


def onnx_interface(inputs: tuple[str, str, str], start: str, end: str) -> Interface:
    """Of an official ONNX graph: batches of any size, 384 tokens, and an output each for the start and the end."""
    return Interface(
        tuple(Tensor(name, "int64", (None, LENGTH)) for name in inputs),
        tuple(Tensor(name, "float32", (None, LENGTH)) for name in (start, end)),
    )


OFFICIAL = onnx_interface(INPUTS, "output_start_logits", "output_end_logits")
"""Of the official fp32 ONNX graph."""


def describe(config: BertConfig) -> str:
    """Which BERT this is, for people: "BERT-Base (12 layers, hidden 768, vocabulary 30522)"."""
    name = _SIZES.get((config.layers, config.hidden), "BERT")
    return f"{name} ({config.layers} layers, hidden {config.hidden}, vocabulary {config.vocabulary})"


def config_of(arrays: Mapping[str, NDArray[Any]], source: str) -> BertConfig:
    """The size of network that *arrays* belong to. Raises ModelFileError where it cannot be told from them."""
    missing = [f"missing: {name}" for name in _PARTS if arrays.get(name) is None or arrays[name].ndim != 2]
    if missing:
        raise ModelFileError(f"{source} does not hold a BERT", details=missing)
    words, positions, segments, intermediate = (arrays[name].shape for name in _PARTS)
    config = BertConfig(
        layers=len({name[len(_LAYER) :].split(".")[0] for name in arrays if name.startswith(_LAYER)}),
        hidden=words[1],
        intermediate=intermediate[0],
        vocabulary=words[0],
        positions=positions[0],
        segments=segments[0],
        tanh=GELU_TANH in arrays,
    )
    if config.hidden % HEAD or not config.hidden:
        raise ModelFileError(f"{source} holds {describe(config)}, which does not divide into heads of {HEAD} features")
    return config


def refuse_other(config: BertConfig, source: str) -> None:
    """Raise ModelFileError, saying which BERT *source* holds, unless it is BERT-Large or a synthetic one."""
    large, tiny = replace(FULL, tanh=config.tanh), replace(TINY, tanh=config.tanh, vocabulary=config.vocabulary)
    if config in (large, tiny):
        return
    wanted = {name: getattr(FULL, name) for name in ("intermediate", "positions", "segments")}
    other = [f"{name}: {getattr(config, name)}, not {size}" for name, size in wanted.items()]
    details = [line for line, (name, size) in zip(other, wanted.items(), strict=True) if getattr(config, name) != size]
    raise ModelFileError(
        f"{source} holds {describe(config)}, not {describe(FULL)}",
        hint="It is another BERT than MLPerf's. See: mlperf-docker models list",
        details=details,
    )


def network(arrays: Mapping[str, NDArray[Any]], config: BertConfig) -> Network:
    """The network with its logits (N, length, 2): [..., 0] of the start, [..., 1] of the end."""

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401 (any backend's tensors)
        ids, mask, segments = inputs
        return (bert(ops, w, ids, mask, segments, config),)

    return Network("bert", OWN, arrays, build)


def shapes(config: BertConfig) -> named_weights.Shapes:
    """Names and shapes of all weights of a network of this size, and of what tells its GELU."""
    found = named_weights.declared(lambda ops, w: bert(ops, w, None, None, None, config))
    return found | ({GELU_TANH: (1,)} if config.tanh else {})


def marked(arrays: Mapping[str, NDArray[Any]], *, tanh: bool) -> dict[str, NDArray[Any]]:
    """*arrays* with what tells their GELU."""
    return {**arrays, GELU_TANH: np.ones(1, dtype=np.float32)} if tanh else dict(arrays)


def checked(arrays: Mapping[str, NDArray[Any]], source: str) -> Network:
    """The network around *arrays*, BERT-Large or a synthetic one.

    Raises ModelFileError for another BERT, saying which, and with every missing, unused or misshapen array.
    """
    config = config_of(arrays, source)
    refuse_other(config, source)
    named_weights.check(shapes(config), arrays, source)
    return network(arrays, config)
