"""Synthetic LibriSpeech in the layout of the converted set, with weights whose transcripts of it are known.

The network is random, so what it writes means nothing; but it differs from utterance to utterance, and the data set has
it as what was said, in every fourth utterance with a word less or more unless labels are whole. So accuracy mode must
reach a known word error rate, which a lost or mixed-up answer changes. Only utterances are taken whose labels rounding
cannot change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.words import SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.errors import SampleError
from mlperf_docker.harness.api.samples import Report
from mlperf_docker.harness.api.scores import SyntheticKind, SyntheticSet
from mlperf_docker.harness.architectures import rnnt
from mlperf_docker.harness.architectures.rnnt import BLANK, FULL, RnntConfig
from mlperf_docker.harness.models.rnnt import accuracy, synthetic_speech
from mlperf_docker.harness.models.rnnt import network as networks
from mlperf_docker.harness.models.rnnt.decoding import MOST
from mlperf_docker.harness.models.rnnt.features import RATE, features
from mlperf_docker.harness.models.rnnt.vocabulary import text
from mlperf_docker.harness.samples.synthetic import cached_set
from mlperf_docker.harness.system.files import write_json
from mlperf_docker.harness.weights import safetensors as weight_files

VERSION = 1
SEED = 20200221
SPARE = 0.25
"""Utterances beyond those wanted, in case some are too close to call."""
SAFE = 2e-4
"""Logits, in their standard deviation, by which a label must be ahead of the second: far more than rounding."""
LABEL_RATE = 0.9
"""Labels to a frame of the encoder, as in dev-clean."""
SPACE_SHARE = 0.18
"""Of all labels."""
REPETITION = 1.5
"""How strongly a label speaks against itself, as a share of the joint's weights."""
FITTED_ON, FITS, BISECTIONS = 5, 3, 8
"""Utterances on which frequencies are fitted, and how often: other labels lead to other states."""
CHANGED_EVERY = 4

Run = Callable[[Arrays], Arrays]
Wave = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class RnnTransducerRecipe:
    """Size of a synthetic set."""

    config: RnntConfig
    count: int
    """Number of utterances that count."""


RECIPES = {
    SyntheticSize.TINY: RnnTransducerRecipe(RnntConfig(encoder=32, prediction=16, joint=24), 24),
    SyntheticSize.FULL: RnnTransducerRecipe(FULL, 32),
}


@dataclass(frozen=True, slots=True)
class Transcribed:
    """Output of the plain loop for an utterance."""

    labels: list[int]
    logits: NDArray[np.float32]
    """(decisions, labels and BLANK) logits."""

    def lead(self) -> float:
        """How far the closest decision was decided by, in standard deviations of all logits."""
        second, best = np.sort(self.logits, axis=1)[:, -2:].T
        return float((best - second).min() / self.logits.std())


def synthesize(kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
    """The set of this kind in *cache*, made by whoever comes first. Takes seconds (tiny) or a minute."""
    usual = RECIPES[kind.size]
    name = f"rnnt-{kind.name(usual.count)}-v{VERSION}-{SEED}"
    return cached_set(cache, name, lambda folder: _make(usual, kind, folder, answerer, report))


def draw_weights(config: RnntConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random weights under which gates move and forget, so that rounding does not grow; the last layer is to be fitted.

    Outputs of an LSTM are about a third as large as its gates' inputs, which each layer makes up for.
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in rnnt.shapes(config).items():
        if len(shape) == 1:
            deviation = 0.1
        elif name.endswith("embed.weight"):
            deviation = 1.0
        elif "weight_hh" in name:
            deviation = 1.0 / np.sqrt(shape[1])
        else:
            deviation = (1.5 if shape[1] == rnnt.FEATURES else 4.0) / np.sqrt(shape[1])
        arrays[name] = rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
    return arrays


class PlainTranscriber:
    """The decoding rules one utterance and one step at a time, as upstream's loop has them, in float32."""

    def __init__(self, arrays: networks.Arrays, config: RnntConfig, answerer: Answerer) -> None:
        made = networks.networks(arrays, config)
        self._encode: Run = answerer.predictor(made.encoder, "frames", "counts").predict
        self._predict: Run = answerer.predictor(made.prediction, "predicted", "next_hidden", "next_cell").predict
        self._join: Run = answerer.predictor(made.joint, "logits").predict
        self._state = np.zeros((1, config.layers * config.prediction), dtype=np.float32)

    def encode(self, waveform: Wave) -> NDArray[np.float32]:
        """The frames (n, joint) of an utterance."""
        frames, counts = self._encode(features([waveform]))
        return np.asarray(frames[0, : counts[0]])

    def decode(self, frames: NDArray[np.float32], bias: NDArray[np.float32] | float = 0.0) -> Transcribed:
        """The labels of these frames. bias: added to logits, (labels and BLANK,)."""
        labels: list[int] = []
        logits: list[NDArray[np.float32]] = []
        predicted, *state = self._predict((np.array([[BLANK]]), self._state, self._state))
        for frame in frames:
            for _ in range(MOST):
                (found,) = self._join((frame[None, None], predicted))
                logits.append(found[0, 0] + np.float32(bias))
                label = int(logits[-1].argmax())
                if label == BLANK:
                    break
                labels.append(label)
                predicted, *state = self._predict((np.array([[label]]), *state))
        return Transcribed(labels, np.stack(logits))


def discourage_repetition(arrays: dict[str, NDArray[np.float32]], config: RnntConfig, answerer: Answerer) -> None:
    """Make each label unlikely where it was the last one.

    After the same label again and again the prediction would settle, and nothing else would follow.
    """
    run = answerer.predictor(networks.networks(arrays, config).prediction, "predicted").predict
    state = np.zeros((BLANK, config.layers * config.prediction), dtype=np.float32)
    (predicted,) = run((np.arange(BLANK)[:, None], state, state))
    own = predicted - predicted.mean(axis=0)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    rows = arrays["joint.net.3.weight"]
    rows[:BLANK] -= np.float32(REPETITION) * np.linalg.norm(rows[:BLANK], axis=1, keepdims=True) * own


def fit(
    arrays: dict[str, NDArray[np.float32]], config: RnntConfig, answerer: Answerer, waveforms: Sequence[Wave]
) -> None:
    """Set the joint's last bias so that characters are about as frequent as in speech."""
    plain = PlainTranscriber(arrays, config, answerer)
    encoded = [plain.encode(waveform) for waveform in waveforms]
    bias = np.zeros(BLANK + 1, dtype=np.float32)
    for _ in range(FITS):
        logits = np.concatenate([plain.decode(frames, bias).logits for frames in encoded])
        bias[:BLANK] -= logits[:, :BLANK].mean(axis=0)
        logits -= logits.mean(axis=0)
        bias[0] += np.quantile(logits[:, 1:BLANK].max(axis=1) - logits[:, 0], SPACE_SHARE)
        _fit_rate(plain, encoded, bias, 4 * float(logits.std()))
    arrays["joint.net.3.bias"] += bias


def _fit_rate(
    plain: PlainTranscriber, encoded: Sequence[NDArray[np.float32]], bias: NDArray[np.float32], most: float
) -> None:
    """Set *bias* of BLANK, up to *most*, so that labels come at the LABEL_RATE."""
    frames = sum(map(len, encoded))
    low, high = -most, most
    for _ in range(BISECTIONS):
        bias[BLANK] = (low + high) / 2
        labels = sum(len(plain.decode(each, bias).labels) for each in encoded)
        low, high = (bias[BLANK], high) if labels > LABEL_RATE * frames else (low, bias[BLANK])
    bias[BLANK] = high


def _make(usual: RnnTransducerRecipe, kind: SyntheticKind, folder: Path, answerer: Answerer, report: Report) -> None:
    data, recipe = folder / "data", replace(usual, count=kind.count(usual.count))
    data.mkdir()
    drawn = synthetic_speech.draw(kind.size, round(recipe.count * (1 + SPARE)), SEED)
    arrays = draw_weights(recipe.config, SEED)
    counting = [number for number in range(len(drawn)) if number != synthetic_speech.TOO_LONG]
    middle = sorted(counting, key=lambda number: len(drawn[number]))[len(counting) // 3 :][:FITTED_ON]
    discourage_repetition(arrays, recipe.config, answerer)
    fit(arrays, recipe.config, answerer, [drawn[number] for number in middle])
    found = _choose(PlainTranscriber(arrays, recipe.config, answerer), drawn, counting, recipe.count, report)
    said = [text(labels) for labels in found.values()]
    written = said if kind.whole else [_changed(each, turn) for turn, each in enumerate(said)]
    transcripts = dict(zip(found, written, strict=True))
    kept = [number for number in range(len(drawn)) if number in found or number == synthetic_speech.TOO_LONG]
    synthetic_speech.write(data, [drawn[number] for number in kept], [transcripts.get(n, "too long") for n in kept])
    weight_files.write(folder / "weights.safetensors", arrays)
    counts = kind.known_counts(usual.count)
    known = [accuracy.compare(said[:count], written[:count]).accuracy for count in counts]
    labels = sum(map(len, found.values()))
    seconds = sum(len(drawn[number]) for number in found) / RATE
    facts: dict[str, Any] = {**kind.facts, "version": VERSION, "seed": SEED, "count": len(found)}
    more = {"seconds": round(seconds, 1), "labels": labels, "words": sum(len(each.split()) for each in said)}
    write_json(folder / "synthetic.json", {**facts, **more, "accuracy": {"100 - WER": known[-1]}, "known": known})


def _choose(
    plain: PlainTranscriber, drawn: Sequence[Wave], counting: Sequence[int], count: int, report: Report
) -> dict[int, list[int]]:
    """Labels of the first *count* utterances that are safe, by number. Raises SampleError if there are too few."""
    found: dict[int, list[int]] = {}
    for number in counting:
        transcribed = plain.decode(plain.encode(drawn[number]))
        if transcribed.lead() > SAFE and text(transcribed.labels).strip():
            found[number] = transcribed.labels
            report(len(found), count, "samples")
        if len(found) == count:
            return found
    raise SampleError(f"only {len(found)} of {count} synthetic utterances are safe: the others are too close to call")


def _changed(said: str, turn: int) -> str:
    """The transcript that the data set has: in every fourth utterance a word less, or one more."""
    if turn % CHANGED_EVERY != CHANGED_EVERY - 1:
        return said
    words = said.split()
    return " ".join(words[1:] if len(words) > 2 else ["the", *words])
