"""Random weights of a BERT whose answers differ from token to token, and with the words around it."""

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.architectures.bert import BertConfig
from mlperf_docker.harness.models.bert import network as networks

SHARPNESS = 3.0
"""Deviation of the scores of attention before softmax. Much less, and all tokens would see the same mean."""
BRANCH = 0.2
"""Deviation of what a half of a layer adds, beside the 1 of what it is added to. Much more, and after 24 layers all
tokens would be the same."""
LOGITS = 5.0
"""Deviation of the logits of tokens that have nothing in common."""
SHARES = {"value": 1.6, "attention.output.dense": BRANCH, "intermediate.dense": 1.0, "output.dense": 1.7 * BRANCH}
"""Deviation of what comes out of a layer for inputs of deviation 1, by the end of its name. Attention takes a mean,
which is smaller than what goes in; of GELU comes about 0.6."""


def draw(config: BertConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights by name. Activations have deviation 1 after each normalisation, whatever the number of layers."""
    rng = np.random.default_rng(seed)
    return networks.marked(
        {
            name: _draw(rng, name, shape)
            for name, shape in networks.shapes(config).items()
            if name != networks.GELU_TANH
        },
        tanh=config.tanh,
    )


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name.endswith("LayerNorm.weight"):
        return np.ones(shape, dtype=np.float32)
    if name.endswith(".bias"):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.05)
    layer = name.removesuffix(".weight")
    weight = rng.standard_normal(shape, dtype=np.float32) * np.float32(_deviation(layer, shape[1]))
    if layer.endswith("output.dense"):
        # GELU's outputs have a mean, of which every token would get the same.
        weight -= weight.mean(axis=1, keepdims=True)
    return weight


def _deviation(layer: str, inputs: int) -> float:
    """Of the weights of a layer with so many inputs, each of deviation 1, or of a table of embeddings."""
    if layer.endswith("embeddings"):
        return 1.0 if layer.endswith("word_embeddings") else 0.5
    if layer.endswith(("query", "key")):
        # Products of two vectors of 64 features, divided by 8, have the square of the features' deviation.
        return float(np.sqrt(SHARPNESS / inputs))
    if layer == "qa_outputs":
        return float(LOGITS / np.sqrt(inputs))
    share = next(share for end, share in SHARES.items() if layer.endswith(end))
    return float(share / np.sqrt(inputs))
