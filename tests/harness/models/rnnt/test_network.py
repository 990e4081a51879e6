"""RNN-T's networks on every backend, against PyTorch's own modules with the official checkpoint's names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import LoadRequest, Predictor
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.model import Surroundings
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures import rnnt
from mlperf_docker.harness.architectures.rnnt import BLANK, FULL, RnntConfig
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models.rnnt import network as networks
from mlperf_docker.harness.models.rnnt.benchmark import RnnTransducer
from mlperf_docker.harness.models.rnnt.features import features
from mlperf_docker.harness.models.rnnt.preprocess import Utterances
from mlperf_docker.harness.models.rnnt.synthetic import draw_weights
from mlperf_docker.harness.models.rnnt.transcriber import TranscribingPredictor
from tests.harness.installed import BACKENDS

CONFIG = RnntConfig(encoder=12, lower=2, upper=3, prediction=6, layers=2, joint=10)
LENGTHS = np.array([9, 4, 1, 8], dtype=np.int64)
RNG = np.random.default_rng(5)
FEATURES = RNG.standard_normal((4, 9, rnnt.FEATURES), dtype=np.float32)

Weights = dict[str, NDArray[Any]]


class Reference(torch.nn.Module):  # type: ignore[misc,unused-ignore]
    """The modules that the official names come from, one utterance at a time and as the sheet puts them together."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        size, own = CONFIG.encoder, CONFIG.prediction
        lstm = torch.nn.LSTM
        self.encoder = torch.nn.ModuleDict(
            {
                "pre_rnn": torch.nn.ModuleDict({"lstm": lstm(rnnt.FEATURES, size, CONFIG.lower)}),
                "post_rnn": torch.nn.ModuleDict({"lstm": lstm(2 * size, size, CONFIG.upper)}),
            }
        )
        self.prediction = torch.nn.ModuleDict(
            {
                "embed": torch.nn.Embedding(BLANK, own),
                "dec_rnn": torch.nn.ModuleDict({"lstm": lstm(own, own, CONFIG.layers)}),
            }
        )
        linear = torch.nn.Linear
        self.joint = torch.nn.ModuleDict(
            {
                "net": torch.nn.Sequential(
                    linear(size + own, CONFIG.joint), torch.nn.ReLU(), torch.nn.Dropout(), linear(CONFIG.joint, 29)
                )
            }
        )
        self.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=True)
        self.eval()

    def encode(self, features: NDArray[np.float32]) -> torch.Tensor:
        """(frames, encoder) of one utterance's features."""
        x, _ = self.encoder["pre_rnn"]["lstm"](torch.from_numpy(features))
        if len(x) % 2:
            x = torch.cat([x, torch.zeros_like(x[:1])])
        y, _ = self.encoder["post_rnn"]["lstm"](x.reshape(len(x) // 2, -1))
        return torch.as_tensor(y)

    def step(self, label: int | None, state: Any) -> tuple[torch.Tensor, Any]:
        x = torch.zeros(1, CONFIG.prediction) if label is None else self.prediction["embed"](torch.tensor([label]))
        y, after = self.prediction["dec_rnn"]["lstm"](x, state)
        return y[0], after

    def logits(self, frame: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.joint["net"](torch.cat([frame, predicted])))

    def transcribe(self, features: NDArray[np.float32]) -> list[int]:
        labels: list[int] = []
        state = None
        for frame in self.encode(features):
            for _ in range(30):
                predicted, after = self.step(labels[-1] if labels else None, state)
                label = int(self.logits(frame, predicted).argmax())
                if label == BLANK:
                    break
                labels.append(label)
                state = after
        return labels


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def weights() -> Weights:
    arrays: Weights = dict(draw_weights(CONFIG, 1))
    arrays["joint.net.3.bias"][BLANK] += 2
    return arrays


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load(backend: str, network: Network) -> Predictor:
    return registry.load(backend).load(LoadRequest(network, network.interface, Device.CPU, 1))


def close(found: NDArray[Any], expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_encoder_does_not_see_what_is_behind_an_utterance(backend: str, weights: Weights) -> None:
    reference, features = Reference(weights), FEATURES.copy()
    for row, length in enumerate(LENGTHS):
        features[row, length:] = 7.0
    frames, counts = load(backend, networks.checked(weights, "here").encoder).predict((features, LENGTHS))
    assert counts.tolist() == [5, 2, 1, 4]
    first = reference.joint["net"][0]
    for row, (length, count) in enumerate(zip(LENGTHS, counts, strict=True)):
        half = reference.encode(features[row, :length]) @ first.weight[:, : CONFIG.encoder].T + first.bias
        close(frames[row, :count], half)


def test_prediction_and_joint_step_by_step(backend: str, weights: Weights) -> None:
    reference, made = Reference(weights), networks.checked(weights, "here")
    predict, join = load(backend, made.prediction), load(backend, made.joint)
    state = [np.zeros((3, 12), dtype=np.float32)] * 2
    frames = reference.encode(FEATURES[0])
    first = reference.joint["net"][0]
    halves = (frames @ first.weight[:, : CONFIG.encoder].T + first.bias).numpy()
    before: list[Any] = [None] * 3
    for step in ([None] * 3, [0, 5, 27], [5, 5, 13]):
        labels = np.array([[BLANK if label is None else label] for label in step])
        predicted, *state = predict.predict((labels, *state))
        chosen, logits = join.predict((np.stack([halves[:2]] * 3), predicted))
        for row, label in enumerate(step):
            expected, before[row] = reference.step(label, before[row])
            for place in range(2):
                close(logits[row, place], reference.logits(frames[place], expected))
        np.testing.assert_array_equal(chosen, logits.argmax(axis=-1))


def test_transcripts_are_the_references(backend: str, weights: Weights) -> None:
    sounds = [RNG.integers(-3000, 3000, length).astype(np.int16) for length in (16000, 9600, 4801, 21000)]
    made = Utterances(np.array([len(sound) for sound in sounds]), sounds)
    model = RnnTransducer().network(weights, "here")
    parts = [
        registry.load(backend).load(LoadRequest(part.source, part.interface, Device.CPU, 1)) for part in model.parts
    ]
    predictor = TranscribingPredictor(parts, CONFIG, made, Surroundings(Device.CPU, 2, np.empty))
    assert predictor.prove(made.load([1]))
    labels, lengths = predictor.predict(made.load([3, 0, 2, 1]))
    reference = Reference(weights)
    assert len(set(lengths.tolist())) > 1
    for row, number in enumerate((3, 0, 2, 1)):
        expected = reference.transcribe(features([sounds[number]])[0][0])
        assert labels[row, : lengths[row]].tolist() == expected
        assert not labels[row, lengths[row] :].any()


def test_the_full_rnnt_has_45_million_weights() -> None:
    shapes = rnnt.shapes(FULL)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 45_323_037
    assert len(shapes) == 5 * 4 + 2 * 4 + 5
    assert shapes["encoder.post_rnn.lstm.weight_ih_l0"] == (4096, 2048)
    assert shapes["joint.net.0.weight"] == (512, 1344)


def checkpoint(path: Path, weights: Weights, **more: Any) -> Path:
    """A file as upstream's training wrote it: other keys, what features stored, and the joint's old prefix."""
    state = {name.replace("joint.net.", "joint_net."): torch.from_numpy(array) for name, array in weights.items()}
    state["audio_preprocessor.featurizer.fb"] = torch.zeros(1, 80, 257)
    state["audio_preprocessor.featurizer.window"] = torch.zeros(320)
    torch.save({"epoch": 100, "optimizer": {"step": 7}, "state_dict": state} | more, path)
    return path


def test_the_official_checkpoint_is_read(tmp_path: Path, weights: Weights) -> None:
    benchmark = RnnTransducer()
    found = benchmark.read(checkpoint(tmp_path / "rnnt.pt", weights), ModelFormat.STATE_DICT)
    assert set(found) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
    assert benchmark.network(found, "here").variant == "checkpoint's weights"


def test_every_wrong_weight_is_named(weights: Weights) -> None:
    wrong = dict(weights)
    del wrong["joint.net.3.bias"]
    wrong["encoder.post_rnn.lstm.bias_ih_l1"] = np.zeros(7, dtype=np.float32)
    wrong["encoder.layer_norm.weight"] = np.zeros(7, dtype=np.float32)
    with pytest.raises(ModelFileError, match="1 missing, 1 misshapen, 1 unused") as caught:
        networks.checked(wrong, "here")
    assert {line.split(":")[0] for line in caught.value.details} == {"missing", "shape", "unused"}


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(ModelFileError, match="does not hold an RNN-T") as caught:
        networks.checked({"conv1.weight": np.zeros(3)}, "here")
    assert "missing: prediction.embed.weight" in caught.value.details
