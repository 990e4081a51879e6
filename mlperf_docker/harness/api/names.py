"""Words that only the harness uses."""

from enum import StrEnum


class Joined(StrEnum):
    """Layout of a batch of samples that differ in length."""

    PADDED = "padded"
    """Stacked, each padded at its end to the longest."""
    CONCATENATED = "concatenated"
    """Concatenated along the first axis, which then counts not samples but their elements."""
    INDICES = "indices"
    """The batch is the sample indices, (n, 1) int64."""
