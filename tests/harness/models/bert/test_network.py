"""The network: weights, its agreement with a second implementation, padding, and int8."""

from dataclasses import replace
from functools import cache as once
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api import named_weights
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError, UsageError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.bert import FULL, BertConfig
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.models.bert.network import TINY
from mlperf_docker.harness.models.bert.weights import draw
from tests.harness.installed import BACKENDS
from tests.harness.models.bert import reference as bert_reference

Array = NDArray[Any]
SMALL = replace(TINY, vocabulary=101)
LENGTHS = (17, 1, 40)


@once
def arrays(tanh: bool = False) -> dict[str, Array]:
    """Weights in which every array matters: no normalisation leaves its input as it is."""
    rng = np.random.default_rng(5)
    made: dict[str, Array] = dict(draw(replace(SMALL, tanh=tanh), 3))
    for name, array in made.items():
        if name.endswith("LayerNorm.weight"):
            made[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith("bias"):
            made[name] = rng.standard_normal(array.shape, dtype=np.float32)
    return made


def samples() -> list[tuple[Array, Array]]:
    """Ids and segments of samples of several lengths."""
    rng = np.random.default_rng(9)
    return [(rng.integers(1, 101, n), (np.arange(n) > n // 3).astype(np.int64)) for n in LENGTHS]


def batch(parts: list[tuple[Array, Array]], length: int | None = None) -> tuple[Array, Array, Array]:
    """The samples, padded with 0 to *length*, by default that of the longest."""
    longest = length or max(len(ids) for ids, _ in parts)
    made = np.zeros((3, len(parts), longest), dtype=np.int64)
    for row, (ids, segments) in enumerate(parts):
        for table, values in zip(made, (ids, np.ones_like(ids), segments), strict=True):
            table[row, : len(ids)] = values
    return made[0], made[1], made[2]


@once
def predictor(backend: str, tanh: bool = False, precision: str = "fp32") -> Any:
    network = networks.checked(arrays(tanh), "w")
    return registry.load(backend).load(LoadRequest(network, network.interface, Device.CPU, 2, precision=precision))


@pytest.mark.parametrize("tanh", [False, True], ids=["erf", "tanh"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_are_those_of_a_second_implementation(backend: str, tanh: bool) -> None:
    weights = {name: array for name, array in arrays(tanh).items() if name != networks.GELU_TANH}
    (found,) = predictor(backend, tanh).predict(batch(samples()))
    assert found.dtype == np.float32
    assert found.shape == (3, 40, 2)
    for row, (ids, segments) in zip(found, samples(), strict=True):
        expected = bert_reference.logits(weights, ids, segments, tanh=tanh)
        assert expected.std() > 1
        np.testing.assert_allclose(row[: len(ids)], expected, atol=3e-5)
        other = bert_reference.logits(weights, ids, segments, tanh=not tanh)
        assert np.abs(other - expected).max() > 1e-4, "the two kinds of GELU must be told apart"


@pytest.mark.parametrize("backend", BACKENDS)
def test_padding_changes_no_logit(backend: str) -> None:
    predict = predictor(backend).predict
    together, (padded,) = predict(batch(samples()))[0].copy(), (part.copy() for part in predict(batch(samples(), 384)))
    for row, sample in enumerate(samples()):
        length = len(sample[0])
        alone = predict(batch([sample]))[0][0]
        assert alone.shape == (length, 2)
        # Logits reach 20, of which float32 keeps 2e-6; kernels differ with the shape, and with the processor.
        np.testing.assert_allclose(together[row, :length], alone, rtol=2e-6, atol=1e-5)
        np.testing.assert_allclose(padded[row, :length], alone, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sample_of_nothing_but_padding_gives_numbers(backend: str) -> None:
    ids, mask, segments = batch(samples())
    mask[1] = 0
    (found,) = predictor(backend).predict((ids, mask, segments))
    assert np.isfinite(found).all()


def test_outputs_of_berts_backends_agree() -> None:
    first, *others = (predictor(name).predict(batch(samples()))[0] for name in BACKENDS)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-4 * np.abs(first).max())


def test_every_weight_of_bert_changes_the_output() -> None:
    """A weight that is asked for but not used, or one used in another's place, would change nothing here or there."""
    weights = arrays()
    before = bert_reference.logits(weights, *samples()[0])
    for name in weights:
        changed = dict(weights)
        changed[name] = weights[name] * np.float32(1.5) + np.float32(0.01)
        after = bert_reference.logits(changed, *samples()[0])
        assert np.abs(after - before).max() > 1e-6 or name.endswith("self.key.bias"), name


def test_the_full_bert_has_the_official_checkpoints_weights() -> None:
    shapes = networks.shapes(FULL)
    assert len(shapes) == 5 + 24 * 16 + 2
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 334_094_338
    assert shapes["bert.embeddings.word_embeddings.weight"] == (30522, 1024)
    assert shapes["bert.embeddings.position_embeddings.weight"] == (512, 1024)
    assert shapes["bert.encoder.layer.23.attention.self.query.weight"] == (1024, 1024)
    assert shapes["bert.encoder.layer.0.attention.output.LayerNorm.bias"] == (1024,)
    assert shapes["bert.encoder.layer.0.intermediate.dense.weight"] == (4096, 1024)
    assert shapes["bert.encoder.layer.0.output.dense.weight"] == (1024, 4096)
    assert shapes["qa_outputs.weight"] == (2, 1024)


def shaped(config: BertConfig) -> dict[str, Array]:
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in networks.shapes(config).items()}


@pytest.mark.parametrize("config", [SMALL, FULL, replace(FULL, tanh=True)], ids=["tiny", "full", "tanh"])
def test_berts_size_is_told_from_its_weights(config: BertConfig) -> None:
    assert networks.config_of(shaped(config), "w") == config
    assert isinstance(networks.checked(shaped(config), "w"), Network)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (BertConfig(12, 768, 3072), r"BERT-Base \(12 layers, hidden 768, vocabulary 30522\), not BERT-Large"),
        (replace(FULL, vocabulary=28996), r"BERT-Large \(24 layers, hidden 1024, vocabulary 28996\), not BERT-Large"),
        (BertConfig(2, 128, 512), r"BERT-Tiny \(2 layers, hidden 128, vocabulary 30522\)"),
        (BertConfig(3, 192, 512), r"BERT \(3 layers, hidden 192"),
    ],
)
def test_another_bert_is_named(config: BertConfig, said: str) -> None:
    with pytest.raises(ModelFileError, match=said):
        networks.checked(shaped(config), "w")


def test_weights_of_another_model_are_no_berts() -> None:
    with pytest.raises(ModelFileError, match="does not hold a BERT"):
        networks.checked({"fc.weight": np.zeros((3, 3))}, "w")
    foreign = dict(arrays())
    del foreign["qa_outputs.bias"]
    foreign["classifier.bias"] = np.zeros(3)
    foreign["bert.encoder.layer.1.output.dense.bias"] = np.zeros(5)
    with pytest.raises(ModelFileError, match="1 missing, 1 misshapen, 1 unused"):
        networks.checked(foreign, "w")
    foreign = {name: array[..., :100] if array.shape[-1] == 128 else array for name, array in arrays().items()}
    with pytest.raises(ModelFileError, match="heads of 64"):
        networks.checked(foreign, "w")


def test_int8_is_near_fp32_and_is_int8() -> None:
    from mlperf_docker.harness.backends.onnxruntime.quantise import quantise
    from mlperf_docker.harness.ops.onnx import serialize

    (exact,) = predictor("onnxruntime").predict(batch(samples()))
    (near,) = predictor("onnxruntime", precision="int8").predict(batch(samples()))
    real = batch(samples())[1].astype(bool)
    assert 1e-4 < np.abs(near - exact)[real].mean() < 0.1 * exact[real].std()
    import onnx

    graph = onnx.load_from_string(quantise(serialize(networks.checked(arrays(), "w")))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMulInteger") == 2 * 6
    assert "Gemm" not in kinds
    large = [tensor.name for tensor in graph.initializer if len(tensor.dims) == 2 and tensor.data_type == 1]
    assert sorted(large) == [
        "bert.embeddings.position_embeddings.weight",
        "bert.embeddings.token_type_embeddings.weight",
        "bert.embeddings.word_embeddings.weight",
        "qa_outputs.weight",
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_precision_that_a_backend_lacks_is_refused(backend: str) -> None:
    network = networks.checked(arrays(), "w")
    for precision in ["fp16", *(["int8"] if backend != "onnxruntime" else [])]:
        request = LoadRequest(network, network.interface, Device.CPU, 1, precision=precision)
        with pytest.raises(UsageError, match=precision):
            registry.load(backend).load(request)


def test_drawn_weights_give_answers_that_differ() -> None:
    weights = draw(SMALL, 4)
    assert networks.shapes(SMALL) == {name: array.shape for name, array in weights.items()}
    named_weights.check(networks.shapes(SMALL), weights, "w")
    rng = np.random.default_rng(2)
    ids, segments = rng.integers(1, 101, 60), (np.arange(60) > 9).astype(np.int64)
    first = bert_reference.logits(weights, ids, segments)
    assert (first.std(axis=0) > 1).all(), "tokens must differ"
    asked = ids.copy()
    asked[:9] = rng.integers(1, 101, 9)
    second = bert_reference.logits(weights, asked, segments)
    assert np.abs(second - first)[10:].mean() > 0.1, "another question must be answered otherwise"
