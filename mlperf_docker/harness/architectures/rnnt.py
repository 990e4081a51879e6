"""RNN-T for speech, written once over `ops`, with the official checkpoint's weight names.

Three networks: the encoder of features, the prediction from the labels so far, and the joint that says what comes next.
The joint's first layer is linear in both, so each of the others ends with its own half of it: what the joint is asked
for at every step of the decoding is a sum, a ReLU and a small matrix product.

Source: mlcommons/inference, retired_benchmarks/speech_recognition/rnnt, the network behind the official checkpoint.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from mlperf_docker.harness.api.named_weights import Shapes, Weights
from mlperf_docker.harness.api.ops import LstmWeights, Ops

T = TypeVar("T")

CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"
"""The position of a character is its label."""
BLANK = len(CHARACTERS)
"""What the joint says when there is no further label in a frame; as the label before the first one, it stands for none.
"""
FEATURES = 240
STACKED = 2
"""Steps of the lower layers that become one of the upper layers."""

JOINT_ENCODER, JOINT_PREDICTION = "joint.net.0.weight:encoder", "joint.net.0.weight:prediction"
"""The halves of the joint's first layer."""
START_EMBED = "prediction.embed.weight:start"
"""The embeddings, and zeros behind them for the start."""


@dataclass(frozen=True, slots=True)
class RnntConfig:
    """Size of the network."""

    encoder: int = 1024
    """Width of the encoder's layers."""
    lower: int = 2
    """Number of the encoder's layers before time is halved."""
    upper: int = 3
    """Number of the encoder's layers after time is halved."""
    prediction: int = 320
    """Width of the prediction's layers."""
    layers: int = 2
    joint: int = 512
    """Width of the joint's layer."""


FULL = RnntConfig()


def _layer(w: Weights[T], prefix: str, number: int, source: int, hidden: int) -> LstmWeights[T]:
    def named(kind: str, *shape: int) -> T:
        return w(f"{prefix}.{kind}_l{number}", 4 * hidden, *shape)

    from_input, from_hidden = named("weight_ih", source), named("weight_hh", hidden)
    return LstmWeights(from_input, from_hidden, named("bias_ih"), named("bias_hh"))


def _stack(ops: Ops[T], w: Weights[T], x: T, prefix: str, layers: int, sizes: tuple[int, int]) -> T:
    """LSTM layers over steps, from sizes[0] features to sizes[1]."""
    source, hidden = sizes
    for number in range(layers):
        x = ops.lstm(x, _layer(w, prefix, number, source if number == 0 else hidden, hidden))
    return x


def encoder(ops: Ops[T], w: Weights[T], features: T, lengths: T, config: RnntConfig = FULL) -> T:
    """The joint's half (batch, length / 2, joint) of features (batch, length, FEATURES).

    lengths: (batch,) int64; the last frame of an odd one is stacked with zeros, whatever stands behind it.
    """
    size = config.encoder
    x = _stack(ops, w, ops.swap(features), "encoder.pre_rnn.lstm", config.lower, (FEATURES, size))
    x = ops.stack_pairs(ops.cut_off(x, lengths))
    x = ops.swap(_stack(ops, w, x, "encoder.post_rnn.lstm", config.upper, (STACKED * size, size)))
    y = ops.linear(ops.rows(x), w(JOINT_ENCODER, config.joint, size), w("joint.net.0.bias", config.joint))
    return ops.sequences(y, x)


def prediction(ops: Ops[T], w: Weights[T], labels: T, hidden: T, cell: T, config: RnntConfig = FULL) -> tuple[T, T, T]:
    """The joint's half (batch, joint) after a label, and the state then.

    labels: (batch, 1) int64, BLANK for none yet. hidden, cell: (batch, layers · prediction), each layer's in turn.
    """
    size = config.prediction
    x = ops.rows(ops.embedding(w(START_EMBED, len(CHARACTERS) + 1, size), labels))
    after: list[tuple[T, T]] = []
    for number in range(config.layers):
        before = [ops.slice(each, number * size, (number + 1) * size) for each in (hidden, cell)]
        after.append(ops.lstm_cell(x, _layer(w, "prediction.dec_rnn.lstm", number, size, size), *before))
        x = after[-1][0]
    y = ops.linear(x, w(JOINT_PREDICTION, config.joint, size))
    return y, ops.concat([hidden for hidden, _ in after], 1), ops.concat([cell for _, cell in after], 1)


def joint(ops: Ops[T], w: Weights[T], frames: T, predicted: T, config: RnntConfig = FULL) -> T:
    """Logits (batch, n, labels and BLANK) of *n* frames with one prediction: (batch, n, joint), (batch, joint)."""
    x = ops.relu(ops.add(frames, ops.reshape(predicted, 1, config.joint)))
    weight, bias = w("joint.net.3.weight", BLANK + 1, config.joint), w("joint.net.3.bias", BLANK + 1)
    return ops.sequences(ops.linear(ops.rows(x), weight, bias), frames)


def shapes(config: RnntConfig) -> Shapes:
    """Names and shapes of the official checkpoint's weights, for a network of this size."""
    found: Shapes = {}

    def record(name: str, *shape: int) -> Any:  # noqa: ANN401 (no tensor)
        found[name] = shape

    stacks = (
        ("encoder.pre_rnn.lstm", config.lower, FEATURES, config.encoder),
        ("encoder.post_rnn.lstm", config.upper, STACKED * config.encoder, config.encoder),
        ("prediction.dec_rnn.lstm", config.layers, config.prediction, config.prediction),
    )
    for prefix, layers, source, hidden in stacks:
        for number in range(layers):
            _layer(record, prefix, number, source if number == 0 else hidden, hidden)
    record("prediction.embed.weight", len(CHARACTERS), config.prediction)
    record("joint.net.0.weight", config.joint, config.encoder + config.prediction)
    record("joint.net.0.bias", config.joint)
    record("joint.net.3.weight", BLANK + 1, config.joint)
    record("joint.net.3.bias", BLANK + 1)
    return found
