"""RNN-T's features: upstream's values, and the same computed a second time, in float64 and window by window."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.models.rnnt import features as made
from mlperf_docker.harness.models.rnnt import synthetic_speech
from mlperf_docker.harness.models.rnnt.features import SHORTEST, features, frames

Waveform = NDArray[np.int16]


def noise(length: int) -> Waveform:
    return np.random.default_rng(length).integers(-6000, 6000, length).astype(np.int16)


def reference(waveform: Waveform) -> NDArray[Any]:
    """The same by the book: each window cut out of the padded sound, padded to 512 in the middle, transformed alone."""
    sound = waveform / 32768
    sound[1:] = sound[1:] - 0.97 * sound[:-1]
    padded = np.pad(sound, 256, mode="reflect")
    window = np.zeros(512)
    window[96:416] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 319)
    weights = made.filterbank().astype(np.float64)
    energies = []
    for start in range(0, len(waveform) + 1, 160):
        power = np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2 + 1e-10
        energies.append(np.log(weights @ power + 1e-20))
    energies += [np.zeros(80)] * 3
    count = math.ceil(math.ceil(len(waveform) / 160) / 3)
    spliced = np.array([np.concatenate(energies[3 * frame : 3 * frame + 3]) for frame in range(count)])
    normal: NDArray[Any] = (spliced - spliced.mean(axis=0)) / (spliced.std(axis=0, ddof=1) + 1e-5)
    return normal


@pytest.mark.arithmetic
def test_the_filterbank_is_that_of_librosa() -> None:
    # librosa.filters.mel(sr=16000, n_fft=512, n_mels=80, fmin=0, fmax=8000), version 0.11.
    weights = made.filterbank()
    assert weights.shape == (80, 257)
    recorded = {(0, 1): 0.02253456, (0, 2): 0.0086377105, (10, 13): 0.024415132, (10, 11): 0.0}
    recorded |= {(79, 240): 0.0010662342, (79, 250): 0.002103558}
    for place, value in recorded.items():
        assert weights[place] == pytest.approx(value, rel=1e-6)
    ends = [np.flatnonzero(weights[band])[[0, -1]].tolist() for band in (0, 1, 40, 79)]
    assert ends == [[1, 2], [2, 3], [54, 57], [238, 255]]
    assert weights.sum(dtype=np.float64) == pytest.approx(2.5582607, rel=1e-6)


@pytest.mark.parametrize(
    ("samples", "count"), [(481, 2), (959, 2), (960, 2), (961, 3), (4800, 10), (4801, 11), (23_120, 49), (240_000, 500)]
)
def test_how_many_frames_there_are(samples: int, count: int) -> None:
    assert frames(samples) == count
    found, lengths = features([noise(samples)])
    assert (found.shape, lengths.tolist()) == ((1, count, 240), [count])
    assert found.dtype == np.float32
    assert lengths.dtype == np.int64


@pytest.mark.parametrize(
    ("samples", "first", "last"),
    [
        # A multiple of three hops; of one, so that a window beyond the last counted one enters the last frame; neither.
        (
            4800,
            (1.841176, -0.475198, -0.379946, -0.343114, 0.437579, 1.623324),
            (-0.145448, -1.906901, -0.67849, -1.297447, -1.466062, -0.13498),
        ),
        (
            4960,
            (2.093527, 0.694062, 0.02468, 0.201804, -0.226279, -0.304569),
            (-0.394789, 0.164438, 1.529434, -0.55842, 2.98877, 2.591712),
        ),
        (
            5000,
            (1.683204, 1.066177, -1.446893, 0.364891, -0.182362, -1.23737),
            (0.409604, -1.79986, 2.447432, -0.960772, 2.922166, 2.297565),
        ),
    ],
)
@pytest.mark.arithmetic
def test_values_are_those_of_upstreams_featurizer(
    samples: int, first: tuple[float, ...], last: tuple[float, ...]
) -> None:
    # AudioPreprocessing of speech_recognition/rnnt/pytorch, on torch 2.13.
    ((*found,),), _ = features([noise(samples)])
    places = [0, 79, 80, 159, 160, 239]
    np.testing.assert_allclose(found[0][places], first, atol=1e-4)
    np.testing.assert_allclose(found[-1][places], last, atol=1e-4)


@pytest.mark.parametrize("samples", [481, 600, 960, 961, 1119, 1120, 1121, 23_120, 24_000, 48_001])
@pytest.mark.arithmetic
def test_values_are_those_of_the_definition(samples: int) -> None:
    waveform = synthetic_speech.speak(np.random.default_rng(samples), samples)
    (found,), _ = features([waveform])
    # Upstream's own values are up to 7e-4 off for such sounds, whose bands differ more in strength than speech's.
    # Where there are two frames, they may happen to be alike, and what differs is divided by next to nothing.
    np.testing.assert_allclose(found, reference(waveform), atol=3e-4 if samples > 1000 else 2e-3)


def test_values_of_recorded_speech(speech: dict[str, Waveform]) -> None:
    for name, waveform in speech.items():
        (found,), _ = features([waveform])
        np.testing.assert_allclose(found, reference(waveform), atol=1e-4, err_msg=name)
    # "Front, Center", by upstream's featurizer.
    (found,), _ = features([speech["Front_Center"]])
    assert len(found) == 48
    recorded = (-1.1926, -0.907, -0.7361, -1.3304, 2.9562, 2.2109)
    np.testing.assert_allclose(found[47, [0, 40, 79, 80, 160, 239]], recorded, atol=1e-3)


@pytest.mark.arithmetic
def test_pauses_and_silence() -> None:
    waveform = noise(16_000)
    waveform[4000:12_000] = 0
    (found,), _ = features([waveform])
    np.testing.assert_allclose(found, reference(waveform), atol=1e-4)
    # All frames are alike: what rounding leaves of their difference is not blown up.
    (found,), _ = features([np.zeros(48_000, dtype=np.int16)])
    assert not found.any()


def test_features_that_hardly_differ_stay_small() -> None:
    values = np.array([[0, 1, 5], [2e-5, 4, 5]], dtype=np.float32)
    made.normalise(values)
    # Deviations of 1.414e-5, 2.121 and 0, and 1e-5 more.
    np.testing.assert_allclose(values, [[-0.4142, -0.7071, 0], [0.4142, 0.7071, 0]], atol=1e-4)


@pytest.mark.arithmetic
def test_an_utterance_gives_the_same_bits_in_every_batch() -> None:
    waveforms = [noise(samples) for samples in (23_120, 4800, SHORTEST, 10_000, 23_121)]
    alone = [features([waveform])[0][0] for waveform in waveforms]
    with ThreadPoolExecutor(3) as pool:
        for found, lengths in (features(waveforms), features(waveforms, pool)):
            assert found.shape == (5, 49, 240)
            assert lengths.tolist() == [49, 10, 2, 21, 49]
            for row, length, own in zip(found, lengths, alone, strict=True):
                assert row[:length].tobytes() == own.tobytes()
                assert not row[length:].any()


def test_whole_numbers_stand_for_parts_of_32768() -> None:
    waveform = noise(5000)
    waveform[:2] = (-32768, 32767)
    waveform.flags.writeable = False
    (found,), _ = features([waveform])
    (same,), _ = features([waveform.astype(np.float32) / np.float32(32768)])
    assert found.tobytes() == same.tobytes()


def test_a_sound_that_is_too_short_has_no_features() -> None:
    with pytest.raises(ValueError, match="480 samples; features need 481"):
        features([noise(5000), noise(480)])
    found, lengths = features([])
    assert (found.shape, lengths.shape) == ((0, 0, 240), (0,))
