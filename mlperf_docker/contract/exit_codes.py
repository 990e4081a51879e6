"""Exit codes of `mlperf-docker` and of the harness."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `mlperf-docker` and of the harness, whose own the host passes on.

    The harness has no registry, engine, base image or build, and so no codes for their faults.
    """

    VALID = 0
    INVALID = 1
    USAGE = 2
    ENGINE = 3
    BASE_IMAGE = 4
    BUILD = 5
    DATASET = 6
    MODEL_FILE = 7
    DEVICE = 8
    CONTAINER = 9
    REGISTRY = 10
    INTERNAL = 70
    INTERRUPTED = 130
