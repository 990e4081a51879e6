"""Words that only the host uses: backends, pull policies, the prefix of labels."""

from enum import StrEnum


class Backend(StrEnum):
    """The frameworks that can run a model."""

    ONNXRUNTIME = "onnxruntime"
    TENSORFLOW = "tensorflow"
    PYTORCH = "pytorch"


class PullPolicy(StrEnum):
    """When `run` asks the registry for an image."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


LABEL = "org.mlperf-docker"
