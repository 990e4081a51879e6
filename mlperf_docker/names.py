"""The closed sets of words that MLPerf and this project use."""

from enum import StrEnum


class Backend(StrEnum):
    """The frameworks that can run a model."""

    ONNXRUNTIME = "onnxruntime"
    TENSORFLOW = "tensorflow"
    PYTORCH = "pytorch"


class Device(StrEnum):
    """Where the model runs."""

    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Number format of the weights and of the arithmetic."""

    FP32 = "fp32"
    INT8 = "int8"


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
    """LoadGen's `TestMode`, as the command line spells it."""

    PERFORMANCE = "performance"
    ACCURACY = "accuracy"


class SyntheticSize(StrEnum):
    """Size of a synthetic run: `full` is the real network, `tiny` the same code with fewer layers."""

    TINY = "tiny"
    FULL = "full"


class PullPolicy(StrEnum):
    """When `run` asks the registry for an image."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


LABEL = "org.mlperf-docker"
