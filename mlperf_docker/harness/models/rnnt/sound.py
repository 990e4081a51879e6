"""Sound files as LibriSpeech has them, WAV or FLAC: 16 kHz, mono, 16 bits a sample."""

import hashlib
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.errors import BadSample
from mlperf_docker.harness.models.rnnt import flac
from mlperf_docker.harness.models.rnnt.features import RATE, SHORTEST
from mlperf_docker.harness.system import data_files

if TYPE_CHECKING:
    from soundfile import SoundFile

SUFFIXES = (".wav", ".flac")
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC")
ENCODING = "PCM_16"
"""Others are refused: the cache keeps whole numbers of 16 bits, and those are what LibriSpeech consists of."""
HEAD, TAIL = 4096, 1 << 15
"""Bytes at both ends of a file that are looked at first; a frame of LibriSpeech's has up to 8 kB."""
UNKNOWN = 0x7FFFF000
"""What writes a WAV file to a pipe leaves 0, this or more in place of the number of bytes."""


@dataclass(frozen=True, slots=True)
class Length:
    """Number of samples in a file, with what its header says."""

    there: int
    told: int | None
    """Number of samples in the header; None if unknown."""
    md5: bytes | None = None
    """Checksum of the sound; None if unknown."""

    def check(self) -> None:
        """Raise BadSample for a header that says something else."""
        if self.told is not None and self.told != self.there:
            raise BadSample(f"its header tells {self.told} samples, and it has {self.there}")


def length(path: Path) -> int:
    """Samples in the file, whether its header tells them or not.

    Raises BadSample for a file of another kind, and for one whose header tells a false number.
    """
    with _opened(path) as (_, found):
        found.check()
        return found.there


def read(path: Path, out: NDArray[np.int16]) -> None:
    """Fill *out* with the whole file. Raises BadSample where it is damaged, or not of this length."""
    with _opened(path) as (file, found):
        if found.there != len(out):
            raise BadSample(f"{found.there} samples, not the {len(out)} of the manifest")
        found.check()
        # A damaged frame of a FLAC file, which has checksums, is an error; a WAV file can only be too short.
        done = len(file.read(out=out))
    if done < len(out):
        raise BadSample(f"ends after {done} of {len(out)} samples")
    if found.md5 and hashlib.md5(out.data, usedforsecurity=False).digest() != found.md5:
        raise BadSample("damaged: its sound is not that of its checksum")


@contextmanager
def _opened(path: Path) -> Iterator[tuple["SoundFile", Length]]:
    """The file, its header checked; what libsndfile finds wrong, also later, as BadSample."""
    import soundfile

    size = data_files.status(path).st_size
    try:
        source, found = _told(path, size)
        with soundfile.SoundFile(source) as file:
            if found is None and file.format == "FLAC":
                raise BadSample("something stands before its FLAC stream")
            samples = found or Length(file.frames, file.frames)
            problems = list(_problems(file, samples))
            if problems:
                raise BadSample(", ".join(problems))
            yield file, samples
    except soundfile.LibsndfileError as error:
        what = f"damaged or no sound file ({size} bytes): {error.error_string}" if size else "empty"
        raise BadSample(what) from error


def _told(path: Path, size: int) -> tuple[Path | io.BytesIO, Length | None]:
    """What to open, and the length, where the format says it in a way that we know.

    A file whose header tells no length is opened with one that does.
    """
    with data_files.opened(path) as stream:
        head = stream.read(HEAD)
        about = flac.header(head)
        if about is not None:
            stream.seek(max(0, size - TAIL))
            end = flac.ending(stream.read(TAIL), about)
            if end is None:
                stream.seek(max(0, size - flac.LARGEST_FRAME))
                end = flac.ending(stream.read(flac.LARGEST_FRAME), about)
            if end is None:
                raise BadSample(f"truncated or damaged ({size} bytes): its last frame is not whole")
            if about.told:
                return path, Length(end, about.told, about.md5)
            return io.BytesIO(flac.telling(data_files.content(path), end)), Length(end, None, about.md5)
        return _wav(path, head, size)


def _wav(path: Path, head: bytes, size: int) -> tuple[Path | io.BytesIO, Length | None]:
    """The same for WAV; for what is none, its length is left to libsndfile."""
    place = _data_chunk(head) if head.startswith(b"RIFF") else None
    if place is None:
        return path, None
    (told,) = struct.unpack_from("<I", head, place + 4)
    there = size - place - 8
    if told == 0 and there:
        data = bytearray(data_files.content(path))
        struct.pack_into("<I", data, place + 4, there)
        return io.BytesIO(bytes(data)), Length(there // 2, None)
    if told >= UNKNOWN:
        return path, Length(there // 2, None)
    return path, Length(min(told, there) // 2, told // 2)


def _data_chunk(head: bytes) -> int | None:
    """Where the chunk with the sound begins."""
    place = 12
    while place + 8 <= len(head):
        if head[place : place + 4] == b"data":
            return place
        (size,) = struct.unpack_from("<I", head, place + 4)
        place += 8 + size + size % 2
    return None


def _problems(file: "SoundFile", found: Length) -> Iterator[str]:
    if file.format not in FORMATS:
        yield f"{file.format_info}, neither WAV nor FLAC"
    if file.samplerate != RATE:
        yield f"{file.samplerate} Hz, not {RATE}"
    if file.channels != 1:
        yield f"{file.channels} channels, not one"
    if file.subtype != ENCODING:
        yield f"{file.subtype_info}, not 16-bit PCM"
    if found.there < SHORTEST:
        yield f"{found.there} samples, fewer than the {SHORTEST} that features need"
