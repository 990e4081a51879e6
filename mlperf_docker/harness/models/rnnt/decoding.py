"""Greedy decoding of many utterances at once: at every frame the likeliest label, until that is BLANK.

The same labels as one utterance at a time, with less work: a prediction is made anew only after a label (after BLANK
neither the label nor the state is another), and the joint looks at some frames ahead, of which the first with a label
counts. Utterances that are done leave the batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays, Predictor
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.architectures.rnnt import BLANK, RnntConfig

MOST = 30
"""Labels in a frame, after which the next frame's turn comes.
Source: mlcommons/inference, speech_recognition/rnnt, pytorch/decoders.py.
"""
AHEAD = 4
"""Frames that the joint looks at for each utterance: in speech nearly every second one has a label."""


def check(values: NDArray[Any], what: str, rows: NDArray[np.int64] | None = None) -> None:
    """Raise NotFiniteError where one of *values* is not finite: the first axis is samples, *rows* of the batch."""
    if not (finite := np.isfinite(values)).all():
        place = int(np.argwhere(~finite)[0, 0])
        raise NotFiniteError(what, row=place if rows is None else int(rows[place]))


@dataclass(slots=True)
class _Active:
    """Utterances that are not done. All arrays have a row for each."""

    row: NDArray[np.int64]
    """Row of the utterance in the batch."""
    count: NDArray[np.int64]
    frame: NDArray[np.int64]
    """Frame that the utterance is at."""
    added: NDArray[np.int64]
    """Labels that this frame has had."""
    predicted: NDArray[np.float32]
    """Prediction from the last label."""
    hidden: NDArray[np.float32]
    """Hidden state after the last label."""
    cell: NDArray[np.float32]
    """Cell state after the last label."""

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Let go of all others."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name)[which])


class GreedyDecoder:
    """Frames to labels, with two networks. logits: the joint again, which gives its logits in place of labels.

    It takes the joint's place in the first step of each batch, so that logits that are not finite show.
    """

    def __init__(
        self, prediction: Predictor, joint: Predictor, config: RnntConfig, logits: Predictor | None = None
    ) -> None:
        self._prediction = prediction
        self._joint = joint
        self._logits = logits
        self._state = config.layers * config.prediction

    def start(self, count: int) -> Arrays:
        """What the prediction takes for *count* utterances without a label yet."""
        labels = np.full((count, 1), BLANK, dtype=np.int64)
        return labels, *(np.zeros((count, self._state), dtype=np.float32) for _ in range(2))

    def decode(
        self, frames: NDArray[np.float32], counts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labels of all utterances, one utterance's after the other's, and how many each has.

        frames: (batch, longest, joint), of which the first *counts* of each utterance count. Raises NotFiniteError.
        """
        batch = len(frames)
        predicted, hidden, cell = map(np.array, self._predict(self.start(batch), np.arange(batch)))
        frame, added = np.zeros((2, batch), dtype=np.int64)
        active = _Active(np.arange(batch), counts, frame, added, predicted, hidden, cell)
        active.keep(counts > 0)
        rows, labels = [active.row[:0]], [active.row[:0]]
        logits = self._logits
        while len(active.row):
            speaking, said = self._step(frames, active, logits)
            logits = None
            rows.append(active.row[speaking])
            labels.append(said)
            going_on = active.frame < active.count
            if not going_on.all():
                active.keep(going_on)
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        return np.concatenate(labels)[order], np.bincount(row, minlength=batch)

    def _predict(self, inputs: Arrays, rows: NDArray[np.int64]) -> Arrays:
        found = self._prediction.predict(inputs)
        check(found[0], "the prediction's output", rows)
        return found

    def _step(
        self, frames: NDArray[np.float32], active: _Active, logits: Predictor | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Advance each utterance to its next label, or beyond the frames looked at. Gives who has one, and which."""
        places = active.frame[:, None] + np.arange(AHEAD)
        last = active.count[:, None] - 1
        inputs = frames[active.row[:, None], np.minimum(places, last)], active.predicted
        (found,) = (logits or self._joint).predict(inputs)
        if logits is not None:
            check(found, "the joint's output", active.row)
            found = found.argmax(axis=-1)
        spoken = (found != BLANK) & (places <= last)
        first = spoken.argmax(axis=1)
        speaks = spoken[np.arange(len(first)), first]
        ahead = np.where(speaks, first, AHEAD)
        active.added[ahead > 0] = 0
        active.frame += ahead
        speaking = np.flatnonzero(speaks)
        said = found[speaking, first[speaking]]
        self._say(active, speaking, said)
        return speaking, said

    def _say(self, active: _Active, speaking: NDArray[np.int64], said: NDArray[np.int64]) -> None:
        """Go on from these labels."""
        if not len(speaking):
            return
        state = active.hidden[speaking], active.cell[speaking]
        found = self._predict((said[:, None], *state), active.row[speaking])
        active.predicted[speaking], active.hidden[speaking], active.cell[speaking] = found
        active.added[speaking] += 1
        full = active.added == MOST
        active.frame[full] += 1
        active.added[full] = 0
