"""Preprocessed features on disk, loaded as the tensors of LoadGen's samples."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import DatasetError
from mlperf_docker.harness.api.names import Joined
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.models.bert.dataset import Squad
from mlperf_docker.harness.models.bert.features import LENGTH, VERSION, Features
from mlperf_docker.harness.system.entries import entry

FILE = "features.npz"


class TokenSamples:
    """Token ids, mask and segments of each feature. dtype: int64, or int32 for TensorFlow's frozen graph.

    whole: for a model that takes nothing shorter than 384 tokens.
    """

    joined = Joined.PADDED

    def __init__(self, features: Features, dtype: DTypeLike = np.int64, *, whole: bool = False) -> None:
        self._features = features
        self._dtype = np.dtype(dtype)
        self._whole = whole

    @property
    def count(self) -> int:
        """How many there are."""
        return self._features.count

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Tokens of each sample without padding; None where all are fed with it."""
        return None if self._whole else self._features.lengths

    def load(self, indices: Sequence[int]) -> Arrays:
        """input_ids, input_mask and segment_ids of these samples, (n, 384) each, zeros behind a sample's end."""
        rows = np.array(indices, dtype=np.int64)
        place = np.arange(LENGTH)
        mask = place < self._features.lengths[rows, None]
        segments = mask & (place >= self._features.first[rows, None])
        return tuple(array.astype(self._dtype) for array in (self._features.ids[rows], mask, segments))


def prepare(
    squad: Squad, cache: Path, report: Report, dtype: DTypeLike = np.int64, *, whole: bool = False
) -> TokenSamples:
    """The samples of *squad*, whose features are made where *cache* lacks them. Raises DatasetError.

    The entry holds the features of all questions, so every limit is served by the same one. Reading it takes a tenth of
    the time that making it takes, which is a second.
    """
    made_from = {"version": VERSION, "data": squad.identity}
    key = hashlib.sha256(f"{VERSION}\n{squad.identity}".encode()).hexdigest()[:20]
    folder = entry(cache / "preprocessed" / key, made_from, lambda folder: _write(folder / FILE, squad.all_features))
    squad.adopt(_read(folder / FILE))
    report(squad.count, squad.count, "samples")
    if not squad.count:
        raise DatasetError("no paragraph of the data set has any text")
    return TokenSamples(squad.features, dtype, whole=whole)


def _read(path: Path) -> Features:
    with np.load(path, allow_pickle=False) as stored:
        return Features(**{field.name: stored[field.name] for field in fields(Features)})


def _write(path: Path, features: Features) -> None:
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **features.arrays())
