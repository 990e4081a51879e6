"""Log-mel features of waveforms, as upstream's featurizer makes them of one utterance at a time.

An utterance is 16 kHz mono. Its 20 ms windows, one every 10 ms, become 80 log-mel energies each; three windows in a row
are one feature frame of 240 values, which are normalised over the utterance.
Source: mlcommons/inference, speech_recognition/rnnt, pytorch/parts/features.py with configs/rnnt.toml.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import cache
from math import log
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

RATE = 16_000
"""Samples per second."""
WINDOW, HOP, FFT = 320, 160, 512
"""In samples. The window lies in the middle of the 512; where it lies does not change the power."""
BANDS, SPLICED = 80, 3
WIDTH = BANDS * SPLICED
"""Values of a feature frame."""
SHORTEST = HOP * SPLICED + 1
"""Samples of the shortest utterance with two feature frames: one alone has no deviation."""
PRE_EMPHASIS = np.float32(0.97)
POWER_FLOOR = np.float32(1e-10)
"""Instead of dither: what random noise of 1e-5 would add to each bin."""
LOG_FLOOR = np.float32(1e-20)
DEVIATION_FLOOR = np.float32(1e-5)

GROUP = 12
"""Windows in one matrix product: 12 x 257 x 80 is below the 262144 from which OpenBLAS takes several threads."""
BLOCK = 5 * GROUP
"""Windows at a time."""

Waveform = NDArray[np.int16] | NDArray[np.float32]


def frames(num_samples: int) -> int:
    """Feature frames, of 30 ms, of an utterance."""
    return -(-windows(num_samples) // SPLICED)


def windows(num_samples: int) -> int:
    """The 10 ms steps that an utterance has; the last may be cut short."""
    return -(-num_samples // HOP)


def features(
    waveforms: Sequence[Waveform], pool: Executor | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (batch, longest, 240), zero behind each utterance's own, and how many frames each has, (batch,).

    waveforms: of at least SHORTEST samples, float32 in -1..1 or int16, which stands for x / 32768. pool: threads that
    share the batch. An utterance gives the same bits in every batch. Raises ValueError for one that is too short.
    """
    short = min((len(waveform) for waveform in waveforms), default=SHORTEST)
    if short < SHORTEST:
        raise ValueError(f"an utterance of {short} samples; features need {SHORTEST}")
    lengths = np.array([frames(len(waveform)) for waveform in waveforms], dtype=np.int64)
    out = np.zeros((len(waveforms), int(lengths.max(initial=0)), WIDTH), dtype=np.float32)
    each = map if pool is None else pool.map
    list(each(_fill, waveforms, (row[:length] for row, length in zip(out, lengths.tolist(), strict=True))))
    return out, lengths


def _fill(waveform: Waveform, out: NDArray[np.float32]) -> None:
    """Write one utterance's features into *out*, (its frames, 240), which is zero."""
    # Three windows in a row are a feature frame. The STFT may have one window more than `windows` counts (where the
    # samples are a multiple of HOP): it still enters the last frame. What lies behind stays zero.
    energies = out.reshape(-1, BANDS)
    framed = _framed(waveform)[: len(energies)]
    energies = energies[: len(framed)]
    _mel(framed, energies)
    energies += LOG_FLOOR
    np.log(energies, out=energies)
    normalise(out)


def _framed(waveform: Waveform) -> NDArray[np.float32]:
    """The pre-emphasised sound under each window, (1 + samples // 160, 320), a view."""
    sound = waveform.astype(np.float32)
    if waveform.dtype == np.int16:
        sound *= np.float32(1 / 32768)
    # Windows are centred on multiples of HOP, and the sound is mirrored at its ends. Of what the STFT pads for 512
    # samples, the window leaves HOP on either side.
    padded = np.empty(len(sound) + 2 * HOP, dtype=np.float32)
    body = padded[HOP:-HOP]
    body[0] = sound[0]
    np.multiply(sound[:-1], -PRE_EMPHASIS, out=body[1:])
    body[1:] += sound[1:]
    padded[:HOP] = body[HOP:0:-1]
    padded[-HOP:] = body[-2 : -2 - HOP : -1]
    count, step = 1 + len(sound) // HOP, padded.strides[0]
    return as_strided(padded, (count, WINDOW), (HOP * step, step), writeable=False)


def _mel(framed: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write each window's energies in the bands, (windows, 80).

    In blocks that stay in a core's cache, in space that is used again: that takes half the time. The product is made of
    groups so small that OpenBLAS works on each alone: its own threads would only get in the way of the pool's.
    """
    windowed = np.empty((BLOCK, WINDOW), dtype=np.float32)
    # Any: numpy's own types do not know that a transform of float32 gives complex64.
    bins: NDArray[Any] = np.zeros((BLOCK, FFT // 2 + 1), dtype=np.complex64)
    parts: NDArray[np.float32] = bins.view(np.float32)
    power = np.empty(bins.shape, dtype=np.float32)
    mel = np.empty((BLOCK // GROUP, GROUP, BANDS), dtype=np.float32)
    window, weights = hann(), filterbank().T
    for start in range(0, len(framed), BLOCK):
        count = min(BLOCK, len(framed) - start)
        np.multiply(framed[start : start + count], window, out=windowed[:count])
        np.fft.rfft(windowed[:count], n=FFT, out=bins[:count])
        np.square(parts, out=parts)
        np.add(parts[:, ::2], parts[:, 1::2], out=power)
        power += POWER_FLOOR
        np.matmul(power.reshape(*mel.shape[:2], -1), weights, out=mel)
        out[start : start + count] = mel.reshape(BLOCK, BANDS)[:count]


def normalise(values: NDArray[np.float32]) -> None:
    """Give each column mean 0 and (unbiased) deviation 1, in place; a column that is constant becomes 0."""
    values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
    variance = np.einsum("fv,fv->v", values, values, dtype=np.float64) / (len(values) - 1)
    values /= np.sqrt(variance).astype(np.float32) + DEVIATION_FLOOR


@cache
def hann() -> NDArray[np.float32]:
    """The window, (320,); symmetric: both its ends are 0."""
    return np.hanning(WINDOW).astype(np.float32)


@cache
def filterbank() -> NDArray[np.float32]:
    """Weights of each bin in each band, (80, 257): triangles between 0 and 8 kHz, each of area 1 over its hertz.

    They overlap by half and stand evenly on Slaney's mel scale: linear up to 1 kHz (15 mel), then logarithmic.
    Source: M. Slaney, Auditory Toolbox, Interval Research TR 1998-010; librosa.filters.mel has the same by default.
    """
    per_mel, knee, step = 200 / 3, 1000.0, log(6.4) / 27
    top = knee / per_mel + log(RATE / 2 / knee) / step
    mels = np.linspace(0.0, top, BANDS + 2)
    edges = np.where(mels < knee / per_mel, mels * per_mel, knee * np.exp(step * (mels - knee / per_mel)))[:, None]
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.linspace(0.0, RATE / 2, FFT // 2 + 1)
    triangles = np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)).clip(min=0.0)
    # Its transpose is what the product wants contiguous.
    return np.asfortranarray(triangles * (2 / (high - low)), dtype=np.float32)
