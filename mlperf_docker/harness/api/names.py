"""The closed sets of words that the harness takes and prints; spelt as LoadGen and the command line spell them."""

from enum import StrEnum


class Scenario(StrEnum):
    """LoadGen's `TestScenario`."""

    SINGLE_STREAM = "SingleStream"
    MULTI_STREAM = "MultiStream"
    SERVER = "Server"
    OFFLINE = "Offline"


class Mode(StrEnum):
    """LoadGen's `TestMode`: PerformanceOnly or AccuracyOnly."""

    PERFORMANCE = "performance"
    ACCURACY = "accuracy"


class Joined(StrEnum):
    """How samples of different length become a batch.

    `padded`: stacked, each filled up behind to the longest. `concatenated`: one after the other along the first axis,
    which then counts not samples but what they are made of. `apart`: not joined; a batch is the numbers of its
    samples, (n, 1) int64.
    """

    PADDED = "padded"
    CONCATENATED = "concatenated"
    APART = "apart"


class SyntheticSize(StrEnum):
    """`full` is the real network, `tiny` the same code with fewer layers and channels."""

    TINY = "tiny"
    FULL = "full"


class Phase(StrEnum):
    """The steps of a run, as the events name them."""

    SYNTHESIZE = "synthesize"
    PREPROCESS = "preprocess"
    LOAD_MODEL = "load-model"
    PROVE_DEVICE = "prove-device"
    CALIBRATE = "calibrate"
    LOADGEN = "loadgen"
    SCORE = "score"
    VERIFY = "verify"
    CONVERT = "convert"
    COMPARE = "compare"


class Format(StrEnum):
    """How a model file is written; the words of images.yaml."""

    ONNX = "onnx"
    FROZEN_GRAPH = "frozen-graph"
    SAVED_MODEL = "saved-model"
    TORCHSCRIPT = "torchscript"
    STATE_DICT = "state-dict"
    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"
