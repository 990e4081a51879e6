"""BERT with a head that answers questions, written once over `ops`, with the weight names of the PyTorch checkpoint.

Source: google-research/bert, modeling.py; the head is that of its run_squad.py. There is no dropout in inference, and
the pooler, which answers have no use for, is left out.
"""

from dataclasses import dataclass
from typing import TypeVar

from mlperf_docker.harness.api.named_weights import Weights
from mlperf_docker.harness.api.ops import Ops

T = TypeVar("T")

EPSILON = 1e-12
"""Of every normalisation."""
HEAD = 64
"""Features of one head of attention, in every BERT of Google's."""
ANSWERS = 2
"""What the head says of a token: that the answer starts there, and that it ends there."""


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Size of the network."""

    layers: int = 24
    hidden: int = 1024
    intermediate: int = 4096
    """Features between the two layers behind attention."""
    vocabulary: int = 30522
    positions: int = 512
    segments: int = 2
    """Number of segment kinds."""
    tanh: bool = False
    """True if GELU is approximated, as in TensorFlow's training; PyTorch's and ONNX's files have the exact one."""

    @property
    def heads(self) -> int:
        """Heads of attention."""
        return self.hidden // HEAD


FULL = BertConfig()
"""BERT-Large, uncased."""


def _linear(ops: Ops[T], w: Weights[T], x: T, name: str, out: int, source: int) -> T:
    return ops.linear(x, w(f"{name}.weight", out, source), w(f"{name}.bias", out))


def _norm(ops: Ops[T], w: Weights[T], x: T, name: str, size: int) -> T:
    return ops.layer_norm(x, w(f"{name}.weight", size), w(f"{name}.bias", size), epsilon=EPSILON)


def embed(ops: Ops[T], w: Weights[T], ids: T, segments: T, config: BertConfig) -> T:
    """The normalised sum of what is known of each token: its word, its segment and its place. Gives rows."""
    place, size = "bert.embeddings", config.hidden
    words = ops.embedding(w(f"{place}.word_embeddings.weight", config.vocabulary, size), ids)
    positions = ops.first_rows(w(f"{place}.position_embeddings.weight", config.positions, size), ids)
    kinds = ops.embedding(w(f"{place}.token_type_embeddings.weight", config.segments, size), segments)
    return _norm(ops, w, ops.rows(ops.add(ops.add(words, kinds), positions)), f"{place}.LayerNorm", size)


def layer(ops: Ops[T], w: Weights[T], x: T, bias: T, name: str, config: BertConfig) -> T:
    """One layer over rows, each of its two halves normalised after it was added to what it was made from."""
    size = config.hidden
    query, key, value = (
        _linear(ops, w, x, f"{name}.attention.self.{part}", size, size) for part in ("query", "key", "value")
    )
    y = ops.attention(query, key, value, bias, heads=config.heads, size=HEAD)
    y = _linear(ops, w, y, f"{name}.attention.output.dense", size, size)
    x = _norm(ops, w, ops.add(y, x), f"{name}.attention.output.LayerNorm", size)
    y = _linear(ops, w, x, f"{name}.intermediate.dense", config.intermediate, size)
    y = ops.gelu_tanh(y) if config.tanh else ops.gelu(y)
    y = _linear(ops, w, y, f"{name}.output.dense", size, config.intermediate)
    return _norm(ops, w, ops.add(y, x), f"{name}.output.LayerNorm", size)


def bert(ops: Ops[T], w: Weights[T], input_ids: T, input_mask: T, segment_ids: T, config: BertConfig = FULL) -> T:
    """Logits (batch, length, 2) of each token: of the answer's start, then of its end.

    input_ids, input_mask (1, and 0 for padding) and segment_ids: (batch, length) int64, up to config.positions long.
    What is padded changes no token's logits but its own.
    """
    x = embed(ops, w, input_ids, segment_ids, config)
    bias = ops.key_bias(input_mask)
    for number in range(config.layers):
        x = layer(ops, w, x, bias, f"bert.encoder.layer.{number}", config)
    return ops.sequences(_linear(ops, w, x, "qa_outputs", ANSWERS, config.hidden), input_ids)
