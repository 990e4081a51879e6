"""Decoding of many utterances at once: the labels of the plain rules, for networks that are random functions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.errors import NotFiniteError
from mlperf_docker.harness.architectures.rnnt import BLANK, RnntConfig
from mlperf_docker.harness.models.rnnt.decoding import AHEAD, MOST, GreedyDecoder
from mlperf_docker.harness.models.rnnt.transcriber import check_frames

CONFIG = RnntConfig(prediction=3, layers=2, joint=5)
RNG = np.random.default_rng(3)


class Prediction:
    """The state counts and mixes the labels so far; it is what the joint gets."""

    def __init__(self) -> None:
        self.rows = 0

    def predict(self, inputs: Arrays) -> Arrays:
        labels, hidden, cell = inputs
        self.rows += len(labels)
        hidden = np.sin(hidden * 1.7 + labels + 1).astype(np.float32)
        return np.cos(hidden[:, :5]), hidden, (cell + 1).astype(np.float32)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        return {}


class Joint:
    """Logits that are linear in frame and prediction; *lead* of BLANK over the others."""

    def __init__(self, lead: float) -> None:
        self.matrix = np.random.default_rng(4).standard_normal((5, BLANK + 1)).astype(np.float32)
        self.lead = lead

    def logits(self, frame: NDArray[np.float32], predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.tanh(3 * (frame + predicted)) @ self.matrix
        found[..., BLANK] += self.lead
        return np.asarray(found)

    def predict(self, inputs: Arrays) -> Arrays:
        frames, predicted = inputs
        assert frames.flags.c_contiguous
        return (self.logits(frames, predicted[:, None]).argmax(axis=-1),)

    def prove(self, inputs: Arrays) -> Mapping[str, Any]:
        return {}


def plain(frames: NDArray[np.float32], joint: Joint) -> list[int]:
    """One utterance by the rules of the sheet: predict anew at every step, keep the state only after a label."""
    prediction, labels = Prediction(), []
    state = [np.zeros((1, 6), dtype=np.float32)] * 2
    last = BLANK
    for frame in frames:
        for _ in range(MOST):
            predicted, *after = prediction.predict((np.array([[last]]), *state))
            label = int(joint.logits(frame, predicted[0]).argmax())
            if label == BLANK:
                break
            labels.append(label)
            last, state = label, after
    return labels


def utterances(*counts: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return RNG.standard_normal((len(counts), max(counts) + 2, 5)).astype(np.float32), np.array(counts)


def decoded(frames: NDArray[np.float32], counts: NDArray[np.int64], lead: float) -> list[list[int]]:
    labels, lengths = GreedyDecoder(Prediction(), Joint(lead), CONFIG).decode(frames, counts)
    assert sum(lengths) == len(labels)
    return [part.tolist() for part in np.split(labels, np.cumsum(lengths)[:-1])]


def test_labels_are_those_of_one_utterance_at_a_time() -> None:
    counts = (17, 1, 40, AHEAD, AHEAD + 1, 23, 2, 3)
    frames, many = utterances(*counts)
    rates = []
    for lead in (0.0, 3.0, 5.0, 6.0, 6.5, 7.0):
        expected = [plain(each[:count], Joint(lead)) for each, count in zip(frames, counts, strict=True)]
        assert decoded(frames, many, lead) == expected
        for row, labels in enumerate(expected):
            assert decoded(frames[row : row + 1], many[row : row + 1], lead) == [labels]
        rates.append(sum(map(len, expected)) / sum(counts))
    # From utterances that are all labels, past some like speech, to those that are nearly silent.
    assert rates[0] > 10
    assert any(0.3 < rate < 3 for rate in rates), rates
    assert 0 < rates[-1] < 1, rates


def test_a_frame_has_thirty_labels_at_most() -> None:
    frames, counts = utterances(3, 1)
    assert [len(labels) for labels in decoded(frames, counts, -100.0)] == [90, 30]
    assert plain(frames[0, :3], Joint(-100.0)) == decoded(frames, counts, -100.0)[0]


def test_silence_gives_no_labels() -> None:
    frames, counts = utterances(9, 5)
    assert decoded(frames, counts, 100.0) == [[], []]


def test_nothing_behind_an_utterance_is_heard() -> None:
    frames, counts = utterances(6, 13)
    expected = decoded(frames, counts, 1.0)
    frames[0, 6:] = 50.0
    frames[1, 13:] = -50.0
    assert decoded(frames, counts, 1.0) == expected


def test_an_utterance_without_frames_has_no_labels() -> None:
    frames, counts = utterances(4, 5)
    counts[0] = 0
    assert decoded(frames, counts, -1.0)[0] == []


def test_predictions_are_made_once_for_each_label() -> None:
    frames, counts = utterances(30, 30, 30)
    prediction = Prediction()
    _, lengths = GreedyDecoder(prediction, Joint(2.0), CONFIG).decode(frames, counts)
    assert prediction.rows == 3 + sum(lengths)


class Logits(Joint):
    """The joint's logits in place of its labels; those of utterances whose first frame begins with 9 are *value*."""

    def __init__(self, lead: float, value: float) -> None:
        super().__init__(lead)
        self.value = value

    def predict(self, inputs: Arrays) -> Arrays:
        frames, predicted = inputs
        found = self.logits(frames, predicted[:, None])
        found[frames[:, 0, 0] == 9, 0, 3] = self.value
        return (found,)


class Spoilt(Prediction):
    """NaN after every label."""

    def predict(self, inputs: Arrays) -> Arrays:
        predicted, *state = super().predict(inputs)
        return np.where(inputs[0] == BLANK, predicted, np.float32(np.nan)), *state


def test_the_first_labels_come_from_logits_that_are_looked_at() -> None:
    frames, counts = utterances(6, 9, 3)
    plainly = GreedyDecoder(Prediction(), Joint(2.0), CONFIG).decode(frames, counts)
    looked_at = GreedyDecoder(Prediction(), Joint(2.0), CONFIG, Logits(2.0, np.nan)).decode(frames, counts)
    np.testing.assert_array_equal(plainly[0], looked_at[0])
    frames[1, 0, 0] = 9
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(NotFiniteError, match="the joint's output") as raised:
            GreedyDecoder(Prediction(), Joint(2.0), CONFIG, Logits(2.0, value)).decode(frames, counts)
        assert raised.value.row == 1


def test_a_prediction_that_is_not_finite_is_an_error() -> None:
    frames, counts = utterances(60, 60)
    assert len(GreedyDecoder(Prediction(), Joint(-2.0), CONFIG).decode(frames, counts)[0])
    with pytest.raises(NotFiniteError, match="the prediction's output"):
        GreedyDecoder(Spoilt(), Joint(-2.0), CONFIG).decode(frames, counts)


def test_frames_are_looked_at_where_they_end() -> None:
    frames, counts = utterances(6, 9, 3)
    frames[2, 3:] = np.nan  # padding
    check_frames(frames, counts)
    frames[0, 5, 2] = np.nan
    with pytest.raises(NotFiniteError, match="the encoder's output") as raised:
        check_frames(frames, counts)
    assert raised.value.row == 0
