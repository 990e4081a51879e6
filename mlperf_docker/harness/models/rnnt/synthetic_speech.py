"""Synthetic speech in the layout of upstream's converted dev-clean.

Syllables of a burst of noise and a vowel at a gliding pitch, with pauses, over the noise of a room: features change
from frame to frame as those of speech do. Nobody could write down what is said; the transcripts are the caller's.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.models.rnnt import chapters, manifest
from mlperf_docker.harness.models.rnnt.features import HOP, RATE
from mlperf_docker.harness.models.rnnt.utterances import LONGEST, LONGEST_S
from mlperf_docker.harness.system.files import write_atomically

Waveforms = Sequence[NDArray[np.int16]]

DECILES_S = (1.4, 2.7, 3.3, 4.0, 4.7, 5.5, 6.6, 7.7, 9.2, 10.9, 15.0)
"""Of the lengths of dev-clean's utterances up to 15 s."""
TINY_S = (0.3, 2.0)
"""The shortest and the longest of a tiny set; those between are spread as the others."""
TOO_LONG = 1
"""Position of the utterance that does not count: early, so that it shifts the samples if it is taken along."""
IN_A_CHAPTER = 10
"""Utterances; more in sets of which dev-clean's chapters could not hold so many."""
VOWELS_HZ = ((270, 2290, 3010), (530, 1840, 2480), (730, 1090, 2440), (570, 840, 2410), (300, 870, 2240))
"""The three formants of heed, head, hod, hawed and who'd, of men. Source: Peterson and Barney, JASA 24 (1952)."""
WIDTHS_HZ = np.array([90.0, 110.0, 170.0])
"""Of the formants."""


def draw(size: SyntheticSize, count: int, seed: int) -> list[NDArray[np.int16]]:
    """*count* utterances spread in length as dev-clean's, and one more at TOO_LONG, which is longer than 15 s.

    The first is a whole number of STFT hops, but not of feature frames.
    """
    rng = np.random.default_rng(seed)
    samples = rng.permutation(lengths(size, count)).tolist()
    samples[0] -= samples[0] % (3 * HOP) - HOP
    samples.insert(TOO_LONG, LONGEST + HOP)
    return [speak(rng, length) for length in samples]


def lengths(size: SyntheticSize, count: int) -> NDArray[np.int64]:
    """Samples of *count* utterances, ascending."""
    seconds = np.interp((np.arange(count) + 0.5) / count * (len(DECILES_S) - 1), range(len(DECILES_S)), DECILES_S)
    if size is SyntheticSize.TINY:
        seconds = np.interp(seconds, (DECILES_S[0], DECILES_S[-1]), TINY_S)
    return (np.minimum(seconds, LONGEST_S - 0.05) * RATE).astype(np.int64)


def speak(rng: np.random.Generator, length: int) -> NDArray[np.int16]:
    """An utterance of *length* samples by a voice of its own."""
    pitch = rng.uniform(90, 230)
    sound = rng.normal(0, 12, length).astype(np.float32)
    place = int(rng.integers(0, RATE // 10))
    while place < length:
        for part in (_burst(rng), _vowel(rng, pitch)):
            part = part[: length - place]
            sound[place : place + len(part)] += part
            place += len(part)
        if rng.random() < 0.25:
            place += int(rng.uniform(0.05, 0.4) * RATE)
    return np.rint(sound).clip(-32768, 32767).astype(np.int16)


def _burst(rng: np.random.Generator) -> NDArray[np.float32]:
    """A consonant: noise, more or less of its low frequencies taken away."""
    noise = rng.normal(0, 1, int(rng.uniform(0.03, 0.09) * RATE)).astype(np.float32)
    noise[1:] -= np.float32(rng.uniform(-0.5, 1)) * noise[:-1]
    return noise * np.hanning(len(noise)).astype(np.float32) * np.float32(rng.uniform(100, 1500))


def _vowel(rng: np.random.Generator, pitch: float) -> NDArray[np.float32]:
    """Harmonics of a pitch that glides from one value to another, as strong as the formants make them."""
    length = int(rng.uniform(0.07, 0.25) * RATE)
    first, last = pitch * rng.uniform(0.85, 1.25, 2)
    phase = np.cumsum(np.linspace(first, last, length)) * (2 * np.pi / RATE)
    numbers = np.arange(1, int(RATE / 2 / max(first, last)))
    formants = np.array(VOWELS_HZ[rng.integers(len(VOWELS_HZ))]) * rng.uniform(0.9, 1.15)
    away = (numbers[:, None] * (first + last) / 2 - formants) / WIDTHS_HZ
    strength = (1 / (1 + away**2)).sum(axis=1) / numbers**0.5
    waves = np.sin(numbers[:, None].astype(np.float32) * phase.astype(np.float32))
    voiced: NDArray[np.float32] = strength.astype(np.float32) @ waves
    edges = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.02 * RATE))
    voiced *= edges.astype(np.float32) * np.float32(rng.uniform(1500, 8000) / np.abs(voiced).max())
    return voiced


def write(root: Path, waveforms: Waveforms, transcripts: Sequence[str], *, suffix: str = ".flac") -> None:
    """Write a data set: sound files in the format that *suffix* names, and the manifest."""
    write_sound(root, waveforms, suffix=suffix)
    write_manifest(root, waveforms, transcripts, suffix=suffix)


def write_sound(root: Path, waveforms: Waveforms, *, suffix: str = ".flac") -> None:
    """Write the sound files alone."""
    import soundfile

    for name, waveform in zip(_names(len(waveforms), suffix), waveforms, strict=True):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, RATE, subtype="PCM_16")


def write_manifest(root: Path, waveforms: Waveforms, transcripts: Sequence[str], *, suffix: str = ".flac") -> None:
    """Write the manifest alone, in the form of the shipped one."""
    entries = []
    for name, waveform, transcript in zip(_names(len(waveforms), suffix), waveforms, transcripts, strict=True):
        duration = round(len(waveform) / RATE, 6)
        kind = {"channels": 1, "sample_rate": float(RATE), "bitrate": 16, "encoding": "Signed Integer PCM"}
        file = {**kind, "duration": duration, "num_samples": len(waveform), "fname": name, "speed": 1}
        original = {"original_duration": duration, "original_num_samples": len(waveform)}
        entries.append({"files": [file], **original, "transcript": transcript})
    write_atomically(root / manifest.FILE, (json.dumps(entries, indent=2) + "\n").encode())


def _names(count: int, suffix: str) -> Iterator[str]:
    """Files of the first *count* utterances, IN_A_CHAPTER or more in each of dev-clean's chapters."""
    each = max(IN_A_CHAPTER, -(-count // len(chapters.OFFICIAL)))
    for number in range(count):
        chapter = chapters.OFFICIAL[number // each]
        name = f"{chapter.replace('/', '-')}-{number % each:04}{suffix}"
        yield f"{manifest.FOLDER}/{chapter}/{name}"
