"""Accuracy logs of a tree: a run's answers cut down to what a round allows, and the checksum of all of them."""

import hashlib
from pathlib import Path

_PART_BYTES = 4096
"""Bytes that a shortened log keeps of its beginning and of its end, as the submission rules have it."""
_GAP = b"\n\n.......\n\n"


def sha256(log: Path) -> str:
    """The checksum of the whole *log*, 64 hexadecimal digits."""
    with log.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_long(log: Path, limit_bytes: int) -> bool:
    """Whether *log* is larger than a round allows."""
    return log.stat().st_size > limit_bytes


def shortened(log: Path, limit_bytes: int) -> bytes:
    """The beginning and the end of *log*; all of it where the round takes that."""
    if not is_long(log, limit_bytes):
        return log.read_bytes()
    with log.open("rb") as file:
        begin = file.read(_PART_BYTES)
        file.seek(-_PART_BYTES, 2)
        return begin + _GAP + file.read()


def with_checksum(score: str, log: Path) -> str:
    """The text of accuracy.txt: the *score* as it was printed, and the checksum of the answers that it is of."""
    return f"{score.rstrip()}\n\nhash={sha256(log)}\n".lstrip()
