"""Vocabulary of the network: 28 characters, each a label."""

from collections.abc import Iterable

from mlperf_docker.harness.architectures.rnnt import CHARACTERS


def text(labels: Iterable[int]) -> str:
    """What the labels spell. Raises IndexError for one that stands for no character."""
    return "".join(CHARACTERS[label] for label in labels)


def clean(transcript: str) -> str:
    """The transcript in characters that the network can write; others are left out.

    Upstream also spells out numbers and abbreviations, of which LibriSpeech has none.
    """
    small = " ".join(transcript.lower().split())
    return "".join(character for character in small if character in CHARACTERS)
