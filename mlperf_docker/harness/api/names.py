"""Words that only the harness uses."""

from enum import StrEnum


class Joined(StrEnum):
    """How samples of different length become a batch.

    `padded`: stacked, each filled up behind to the longest. `concatenated`: one after the other along the first axis,
    which then counts not samples but what they are made of. `apart`: not joined; a batch is the numbers of its
    samples, (n, 1) int64.
    """

    PADDED = "padded"
    CONCATENATED = "concatenated"
    APART = "apart"
