"""Preprocessed sound: all utterances in one file, mapped into memory; features are made during the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.rnnt import sound
from mlperf_docker.harness.models.rnnt.dataset import LibriSpeech
from mlperf_docker.harness.models.rnnt.utterances import Utterance
from mlperf_docker.harness.samples.kept import Several
from mlperf_docker.harness.samples.preparation import Preparation
from mlperf_docker.harness.samples.preprocessing import cached

WAVEFORMS = "librispeech-waveforms-1"
"""Part of the cache's key. Count it up when the values change."""
PAGE = 4096 // 2
"""Values on a page of memory."""


class WaveformReader:
    """Decodes one utterance, int16."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._utterances = utterances

    def prepare(self) -> None:
        """Import what reading needs."""
        import soundfile  # noqa: F401

    def read(self, index: int, out: NDArray[Any]) -> None:
        """Write waveform *index* into *out*. Raises BadSample."""
        sound.read(self._utterances[index].path, out)


class Utterances:
    """The decoded utterances: what LoadGen's samples stand for. lengths: samples of each, at 16 kHz."""

    joined = Joined.INDICES

    def __init__(self, lengths: NDArray[np.int64], waveforms: Several) -> None:
        """waveforms: of each utterance, as long as *lengths* says."""
        self._lengths = lengths
        self._waveforms = waveforms

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._lengths)

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Samples of each utterance."""
        return self._lengths

    @property
    def bytes(self) -> int:
        """Of all waveforms."""
        return int(self._lengths.sum()) * np.dtype(np.int16).itemsize

    def waveform(self, index: int) -> NDArray[np.int16]:
        """Utterance *index*, a view."""
        return self._waveforms[index]

    def load(self, indices: Sequence[int]) -> Arrays:
        """Numbers of these utterances, (n, 1) int64; their waveforms are read into memory and stay there."""
        for index in indices:
            waveform = self.waveform(index)
            waveform[::PAGE].max()
            waveform[-1:].max()
        return (np.array(indices, dtype=np.int64).reshape(-1, 1),)


def waveform_job(dataset: LibriSpeech) -> Preparation:
    """Decode all utterances; also what `verify` does, without keeping them."""
    names = [utterance.name for utterance in dataset.utterances]
    shapes = [(utterance.num_samples,) for utterance in dataset.utterances]
    files = [(str(utterance.path),) for utterance in dataset.utterances]
    reader = WaveformReader(dataset.utterances)
    return Preparation(dataset.identity, WAVEFORMS, names, dataset.sizes, (), "int16", reader, files, shapes)


def prepare(dataset: LibriSpeech, cache: Path, *, workers: int, report: Report) -> Utterances:
    """The utterances, decoded where the cache lacks them. Raises DatasetError, naming those that are damaged."""
    waveforms = cached(waveform_job(dataset), cache, workers=workers, report=report)
    lengths = np.array([utterance.num_samples for utterance in dataset.utterances], dtype=np.int64)
    return Utterances(lengths, waveforms)
