"""Closed sets of words that host and harness share, spelt as LoadGen and the command line spell them."""

from enum import StrEnum


class Scenario(StrEnum):
    """LoadGen's `TestScenario`: how queries arrive."""

    SINGLE_STREAM = "SingleStream"
    MULTI_STREAM = "MultiStream"
    SERVER = "Server"
    OFFLINE = "Offline"

    @property
    def higher_is_better(self) -> bool:
        """Whether more of its metric is better: Server and Offline give a rate, the others a latency."""
        return self in (Scenario.SERVER, Scenario.OFFLINE)


class Mode(StrEnum):
    """LoadGen's `TestMode`, PerformanceOnly or AccuracyOnly, as the command line spells it."""

    PERFORMANCE = "performance"
    ACCURACY = "accuracy"


class Precision(StrEnum):
    """Number format of the weights and of the arithmetic."""

    FP32 = "fp32"
    INT8 = "int8"


class SyntheticSize(StrEnum):
    """Size of a synthetic run: `full` is the real network, `tiny` the same code with fewer layers."""

    TINY = "tiny"
    FULL = "full"


class ModelFormat(StrEnum):
    """Format of a model file."""

    ONNX = "onnx"
    FROZEN_GRAPH = "frozen-graph"
    SAVED_MODEL = "saved-model"
    TORCHSCRIPT = "torchscript"
    STATE_DICT = "state-dict"
    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"
