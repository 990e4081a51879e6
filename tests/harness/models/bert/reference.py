"""A second BERT, in plain numpy and float64: what the architecture is compared with."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_ERF = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Array, tanh: bool) -> Array:
    if tanh:
        return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + _ERF(x / np.sqrt(2))))


def norm(x: Array, scale: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * scale + bias)


def logits(weights: Mapping[str, Array], ids: Array, segments: Array, *, tanh: bool = False) -> Array:
    """Logits (length, 2) of one sample without padding; ids and segments: (length,)."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def linear(x: Array, name: str) -> Array:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def normed(x: Array, name: str) -> Array:
        return norm(x, w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"])

    place = "bert.embeddings"
    words = w[f"{place}.word_embeddings.weight"][ids] + w[f"{place}.token_type_embeddings.weight"][segments]
    x = normed(words + w[f"{place}.position_embeddings.weight"][: len(ids)], place)
    layers = 1 + max(int(name.split(".")[3]) for name in w if name.startswith("bert.encoder."))
    for number in range(layers):
        name = f"bert.encoder.layer.{number}"
        query, key, value = (linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(x.shape[1] // 64):
            part = slice(64 * head, 64 * head + 64)
            powers = np.exp(query[:, part] @ key[:, part].T / 8)
            heads.append(powers / powers.sum(1, keepdims=True) @ value[:, part])
        mixed = linear(np.concatenate(heads, 1), f"{name}.attention.output.dense")
        x = normed(mixed + x, f"{name}.attention.output")
        y = linear(gelu(linear(x, f"{name}.intermediate.dense"), tanh), f"{name}.output.dense")
        x = normed(y + x, f"{name}.output")
    return linear(x, "qa_outputs")
