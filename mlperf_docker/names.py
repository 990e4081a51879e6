"""Words that only the host uses: pull policies, the prefix of labels."""

from enum import StrEnum


class PullPolicy(StrEnum):
    """When `run` asks the registry for an image."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


LABEL = "org.mlperf-docker"
