"""Utterances, and the limit of length that the benchmark uses."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.models.rnnt.features import RATE

LONGEST_S = 15.0
LONGEST = int(LONGEST_S * RATE)
"""Samples; longer utterances are left out."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Utterance in a sound file."""

    path: Path
    transcript: str
    """Transcript, in characters that the network can write."""
    num_samples: int
    """Number of samples at 16 kHz."""

    @property
    def name(self) -> str:
        """Speaker, chapter and number, as in 2277-149896-0000."""
        return self.path.stem
