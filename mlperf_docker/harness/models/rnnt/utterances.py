"""Utterances, and the limit of length that the benchmark uses."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.harness.models.rnnt.features import RATE

LONGEST_S = 15.0
LONGEST = int(LONGEST_S * RATE)
"""Samples; longer utterances are left out."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is said in a sound file. transcript: in characters that the network can write; num_samples: at 16 kHz."""

    path: Path
    transcript: str
    num_samples: int

    @property
    def name(self) -> str:
        """Speaker, chapter and number, as in 2277-149896-0000."""
        return self.path.stem
