"""Transcriber: utterances to labels, by features, the encoder, and the decoding loop."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.model import Surroundings, Tuned
from mlperf_docker.harness.architectures.rnnt import RnntConfig
from mlperf_docker.harness.models.rnnt.decoding import AHEAD, GreedyDecoder, check
from mlperf_docker.harness.models.rnnt.features import WIDTH, features
from mlperf_docker.harness.models.rnnt.features import frames as frame_count


class Waveforms(Protocol):
    """Waveforms of the utterances to transcribe."""

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Samples of each utterance."""
        ...

    def waveform(self, index: int) -> NDArray[np.int16]:
        """The samples of utterance *index*, (n,)."""
        ...


class TranscribingPredictor:
    """Numbers of utterances to their labels. parts: encoder, prediction, joint, and the joint's logits."""

    def __init__(
        self, parts: Sequence[Predictor], config: RnntConfig, waveforms: Waveforms, surroundings: Surroundings
    ) -> None:
        self._encoder, self._prediction, self._joint, *logits = parts
        self._decoder = GreedyDecoder(self._prediction, self._joint, config, *logits)
        self._waveforms = waveforms
        self._pool = ThreadPoolExecutor(surroundings.threads, "features")

    def predict(self, inputs: Arrays) -> Arrays:
        """Labels (n, longest) int64 of the utterances in inputs[0], (n, 1), and how many each has, (n,).

        Raises NotFiniteError.
        """
        frames, counts = self._encoder.predict(self._features(inputs))
        check_frames(frames, counts)
        labels, lengths = self._decoder.decode(frames, counts)
        rows = np.zeros((len(lengths), int(lengths.max())), dtype=np.int64)
        rows[np.arange(rows.shape[1]) < lengths[:, None]] = labels
        return rows, lengths

    def _features(self, inputs: Arrays) -> Arrays:
        return features([self._waveforms.waveform(int(index)) for index in inputs[0][:, 0]], self._pool)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        """Prove each network; the encoder's is by far the largest, and its proof stands for all."""
        heard = self._features(inputs)
        proof = self._encoder.prove(heard)
        frames, _ = self._encoder.predict(heard)
        start = self._decoder.start(len(frames))
        self._prediction.prove(start)
        predicted = self._prediction.predict(start)[0]
        self._joint.prove((np.ascontiguousarray(frames[:, :AHEAD]), predicted))
        return proof


def check_frames(frames: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
    """Raise NotFiniteError if what the encoder says of an utterance is not finite.

    frames: (n, longest, joint), the first *counts* of each count. Only the last of these is looked at: an LSTM's state
    is finite or NaN, and stays NaN from then on.
    """
    last = frames[np.arange(len(frames)), np.maximum(counts, 1) - 1]
    check(last, "the encoder's output")


class Transcribers:
    """The predictors of all instances."""

    def __init__(
        self,
        config: RnntConfig,
        instances: Sequence[Sequence[Predictor]],
        waveforms: Waveforms,
        surroundings: Surroundings,
    ) -> None:
        self.predictors: tuple[Predictor, ...] = tuple(
            TranscribingPredictor(parts, config, waveforms, surroundings) for parts in instances
        )

    def tune(self, batch: int | None) -> Tuned | None:  # noqa: ARG002
        """Batches are of utterances."""
        return None


@dataclass(frozen=True, slots=True)
class Transcribing:
    """Utterances as steps in time, by networks of this size."""

    config: RnntConfig

    def whole(
        self, instances: Sequence[Sequence[Predictor]], samples: Waveforms, surroundings: Surroundings
    ) -> Transcribers:
        """Predictors of utterances."""
        return Transcribers(self.config, instances, samples, surroundings)

    def batch_bytes(self, samples: Waveforms) -> int:
        """Bytes that an utterance takes in a batch: features of the longest of all."""
        longest = 0 if samples.lengths is None else int(samples.lengths.max())
        return 4 * frame_count(longest) * WIDTH

    def memory(self, samples: Waveforms, instances: int) -> None:  # noqa: ARG002
        """Little: nothing is kept between batches."""
        return
