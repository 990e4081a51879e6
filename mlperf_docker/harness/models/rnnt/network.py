"""RNN-T's interfaces, and its three networks around weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures import rnnt
from mlperf_docker.harness.architectures.rnnt import BLANK, FEATURES, RnntConfig

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Rnnt:
    """The networks around the same weights."""

    encoder: Network
    prediction: Network
    joint: Network
    config: RnntConfig
    """Size of the networks."""


def encoder_interface(config: RnntConfig) -> Interface:
    """Features and their lengths to the joint's half and how many of its frames count."""
    return Interface(
        (Tensor("features", "float32", (None, None, FEATURES)), Tensor("lengths", "int64", (None,))),
        (Tensor("frames", "float32", (None, None, config.joint)), Tensor("counts", "int64", (None,))),
    )


def prediction_interface(config: RnntConfig) -> Interface:
    """A label and the state before it to the joint's half and the state after it."""
    state = (None, config.layers * config.prediction)
    return Interface(
        (Tensor("labels", "int64", (None, 1)), Tensor("hidden", "float32", state), Tensor("cell", "float32", state)),
        (
            Tensor("predicted", "float32", (None, config.joint)),
            Tensor("next_hidden", "float32", state),
            Tensor("next_cell", "float32", state),
        ),
    )


def joint_interface(config: RnntConfig) -> Interface:
    """Frames and a prediction to the most likely label of each frame."""
    return Interface(
        (Tensor("frames", "float32", (None, None, config.joint)), Tensor("predicted", "float32", (None, config.joint))),
        (Tensor("labels", "int64", (None, None)), Tensor("logits", "float32", (None, None, BLANK + 1))),
    )


def networks(arrays: Arrays, config: RnntConfig) -> Rnnt:
    """The three networks around weights with the official names and shapes."""

    def encode(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401 (any backend's tensors)
        features, lengths = inputs
        ones = ops.constant("one", np.array(rnnt.STACKED - 1, dtype=np.int64))
        counts = ops.floor_divide(ops.add(lengths, ones), rnnt.STACKED)
        return rnnt.encoder(ops, w, features, lengths, config), counts

    def predict(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        labels, hidden, cell = inputs
        return rnnt.prediction(ops, w, labels, hidden, cell, config)

    def join(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        logits = rnnt.joint(ops, w, inputs[0], inputs[1], config)
        return ops.argmax(logits), logits

    held = _prepared(arrays, config)
    return Rnnt(
        Network("rnnt-encoder", encoder_interface(config), held, encode),
        Network("rnnt-prediction", prediction_interface(config), held, predict),
        Network("rnnt-joint", joint_interface(config), held, join),
        config,
    )


def _prepared(arrays: Arrays, config: RnntConfig) -> Arrays:
    """The weights, with the joint's first layer in halves, and zeros for the label before the first."""
    first, table = arrays["joint.net.0.weight"], arrays["prediction.embed.weight"]
    return {
        **arrays,
        rnnt.JOINT_ENCODER: np.ascontiguousarray(first[:, : config.encoder]),
        rnnt.JOINT_PREDICTION: np.ascontiguousarray(first[:, config.encoder :]),
        rnnt.START_EMBED: np.concatenate((table, np.zeros_like(table[:1]))),
    }


def config_of(arrays: Arrays, source: str) -> RnntConfig:
    """The size of network that *arrays* belong to. Raises ModelFileError where it cannot be told from them."""
    wanted = ("encoder.pre_rnn.lstm.weight_hh_l0", "prediction.embed.weight", "joint.net.0.bias")
    missing = [f"missing: {name}" for name in wanted if name not in arrays or not arrays[name].ndim]
    if missing:
        raise ModelFileError(f"{source} does not hold an RNN-T", details=missing)
    return RnntConfig(
        encoder=arrays[wanted[0]].shape[-1],
        lower=_layers(arrays, "encoder.pre_rnn.lstm"),
        upper=_layers(arrays, "encoder.post_rnn.lstm"),
        prediction=arrays[wanted[1]].shape[-1],
        layers=_layers(arrays, "prediction.dec_rnn.lstm"),
        joint=arrays[wanted[2]].shape[0],
    )


def _layers(arrays: Arrays, prefix: str) -> int:
    """How many layers a stack has, at least one: what is missing then is said by name."""
    found = [re.fullmatch(rf"{re.escape(prefix)}\.weight_hh_l(\d+)", name) for name in arrays]
    return max((int(match[1]) + 1 for match in found if match), default=1)


def checked(arrays: Arrays, source: str) -> Rnnt:
    """The networks around *arrays*. Raises ModelFileError with every missing, unused or misshapen one."""
    config = config_of(arrays, source)
    named_weights.check(rnnt.shapes(config), arrays, source)
    return networks(arrays, config)
