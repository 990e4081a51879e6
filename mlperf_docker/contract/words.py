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


class ComplianceTest(StrEnum):
    """A compliance test of the closed division: a performance run under settings of its own, held to other runs."""

    TEST01 = "TEST01"
    """Answers in performance mode are those of accuracy mode."""
    TEST04 = "TEST04"
    """The same sample again and again is no faster: no results are cached."""
    TEST05 = "TEST05"
    """Other seeds are no slower; part of rounds up to v4.1."""

    @property
    def compares_answers(self) -> bool:
        """Whether it needs an accuracy run too, whose answers it compares."""
        return self is ComplianceTest.TEST01


class ComparedBy(StrEnum):
    """Comparison that decides whether the answers of a compliance run are those of the accuracy run."""

    FIRST_ELEMENT = "first element"
    """The first value of each answer, bit for bit."""
    SCORES = "scores"
    """The scores of both runs' answers to the same samples, for answers that differ in their last bits."""


class Precision(StrEnum):
    """Number format of the weights and of the arithmetic."""

    FP32 = "fp32"
    INT8 = "int8"


class SyntheticSize(StrEnum):
    """Size of a synthetic run: `full` is the real network, `tiny` the same code with fewer layers."""

    TINY = "tiny"
    FULL = "full"


class SyntheticLabels(StrEnum):
    """Ground truth of a synthetic set: a known share of it `damaged`, or all of it what the network answers."""

    DAMAGED = "damaged"
    WHOLE = "whole"


class ModelFormat(StrEnum):
    """Format of a model file."""

    ONNX = "onnx"
    FROZEN_GRAPH = "frozen-graph"
    SAVED_MODEL = "saved-model"
    TORCHSCRIPT = "torchscript"
    STATE_DICT = "state-dict"
    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"
