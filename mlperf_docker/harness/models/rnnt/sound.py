"""Sound files as LibriSpeech has them, WAV or FLAC: 16 kHz, mono, 16 bits a sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.errors import BadSample
from mlperf_docker.harness.models.rnnt.features import RATE, SHORTEST

if TYPE_CHECKING:
    from soundfile import SoundFile

SUFFIXES = (".wav", ".flac")
ENCODING = "PCM_16"
"""Others are refused: the cache keeps whole numbers of 16 bits, and those are what LibriSpeech consists of."""


def length(path: Path) -> int:
    """Samples in the file, as its header says. Raises BadSample for a file of another kind."""
    with _opened(path) as file:
        return int(file.frames)


def read(path: Path, out: NDArray[np.int16]) -> None:
    """Fill *out* with the whole file. Raises BadSample where it is damaged, or not of this length."""
    with _opened(path) as file:
        if file.frames != len(out):
            raise BadSample(f"{file.frames} samples, not the {len(out)} of the manifest")
        # A damaged frame of a FLAC file, which has checksums, is an error; a WAV file can only be too short.
        done = len(file.read(out=out))
    if done < len(out):
        raise BadSample(f"ends after {done} of {len(out)} samples")


@contextmanager
def _opened(path: Path) -> Iterator["SoundFile"]:
    """The file, its header checked; what libsndfile finds wrong, also later, as BadSample."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            problems = list(_problems(file))
            if problems:
                raise BadSample(", ".join(problems))
            yield file
    except soundfile.LibsndfileError as error:
        if not path.is_file():
            raise BadSample("missing") from error
        size = path.stat().st_size
        what = f"damaged or no sound file ({size} bytes): {error.error_string}" if size else "empty"
        raise BadSample(what) from error


def _problems(file: "SoundFile") -> Iterator[str]:
    if file.samplerate != RATE:
        yield f"{file.samplerate} Hz, not {RATE}"
    if file.channels != 1:
        yield f"{file.channels} channels, not one"
    if file.subtype != ENCODING:
        yield f"{file.subtype_info}, not 16-bit PCM"
    if file.frames < SHORTEST:
        yield f"{file.frames} samples, fewer than the {SHORTEST} that features need"
