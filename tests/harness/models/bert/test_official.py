"""Official files of BERT: run as they are, and read as weights for the architecture.

The files are small, but laid out as the official ones are: names, types, layouts, nodes. Each is made here with its
framework alone, so that the architecture is checked against something else than itself.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.backend import Arrays, LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.architectures.bert import BertConfig
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models.bert import graphs, official
from mlperf_docker.harness.models.bert import network as networks
from mlperf_docker.harness.models.bert.network import LENGTH, TINY
from mlperf_docker.harness.models.bert.weights import draw
from mlperf_docker.harness.ops.onnx import serialize
from mlperf_docker.harness.weights import safetensors as weight_files
from mlperf_docker.harness.weights.formats import detect
from tests.harness.models.bert import reference as bert_reference

Array = NDArray[Any]
SMALL = replace(TINY, vocabulary=101)
WEIGHTS = draw(SMALL, 3)
TOKENS = (30, 384)


def batch() -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(9)
    made = np.zeros((3, 2, LENGTH), dtype=np.int64)
    for row, length in enumerate(TOKENS):
        made[0, row, :length] = rng.integers(1, 101, length)
        made[1, row, :length] = 1
        made[2, row, length // 3 : length] = 1
    return made[0], made[1], made[2]


def expected(*, tanh: bool) -> list[Array]:
    ids, _, segments = batch()
    return [bert_reference.logits(WEIGHTS, ids[row, :n], segments[row, :n], tanh=tanh) for row, n in enumerate(TOKENS)]


def agree(found: Array, *, tanh: bool) -> None:
    """Whether logits (batch, length, 2) are the expected ones of every token that is no padding."""
    for row, wanted in zip(found, expected(tanh=tanh), strict=True):
        np.testing.assert_allclose(row[: len(wanted)], wanted, atol=2e-4)


def computed(path: Path, backend: str = "onnxruntime") -> Array:
    """Logits of the network around the weights in *path*."""
    network = networks.checked(official.READERS[detect(path)](path), str(path))
    return registry.load(backend).load(LoadRequest(network, network.interface, Device.CPU, 2)).predict(batch())[0]


def run_as_it_is(path: Path, backend: str) -> Arrays:
    form = detect(path)
    interface = graphs.look(path, form).interface
    inputs = tuple(array.astype(tensor.dtype) for array, tensor in zip(batch(), interface.inputs, strict=True))
    return registry.load(backend).load(LoadRequest(path, interface, Device.CPU, 2, form)).predict(inputs)


# --- model.pytorch -------------------------------------------------------------------------------------------------


def state(config: BertConfig = SMALL, *, newer: bool = False) -> "OrderedDict[str, torch.Tensor]":
    """As the official file has it: the converter left kernels as transposed views, and the pooler is there."""
    made: OrderedDict[str, torch.Tensor] = OrderedDict()
    for name, array in draw(config, 3).items():
        linear = array.ndim == 2 and "embeddings" not in name and not name.startswith("qa")
        made[name] = torch.from_numpy(np.ascontiguousarray(array.T)).T if linear else torch.from_numpy(array)
    if newer:
        made["bert.embeddings.position_ids"] = torch.arange(config.positions)[None]
    else:
        made["bert.pooler.dense.weight"] = torch.zeros(config.hidden, config.hidden)
        made["bert.pooler.dense.bias"] = torch.zeros(config.hidden)
    return made


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_pytorch_checkpoint_gives_the_references_outputs(tmp_path: Path, newer: bool, legacy: bool) -> None:
    path = tmp_path / "model.pytorch"
    torch.save(state(newer=newer), path, _use_new_zipfile_serialization=not legacy)
    agree(computed(path, "pytorch"), tanh=False)


def test_a_checkpoint_of_another_bert_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pytorch"
    torch.save(state(BertConfig(2, 128, 512)), path)
    with pytest.raises(ModelFileError, match=r"BERT-Tiny \(2 layers, hidden 128, vocabulary 30522\), not BERT-Large"):
        computed(path)


def test_the_int8_checkpoint_is_told_from_the_others(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    extra = {"bert.encoder.layer.0.output.dense._input_quantizer._amax": torch.ones(1)}
    torch.save({**state(), **extra}, path)
    with pytest.raises(ModelFileError, match="int8 checkpoint"):
        computed(path)


# --- model.onnx and the int8 graph -----------------------------------------------------------------------------------


class Exported:
    """The graph as PyTorch's first exporter wrote it: numbers for names, kernels transposed, everything taken apart."""

    def __init__(self, weights: Mapping[str, Array], inputs: tuple[str, str, str], *, fake: bool = False) -> None:
        self._weights, self._inputs, self._fake = weights, inputs, fake
        self._nodes: list[Any] = []
        self._tables: dict[str, Array] = {}
        self._count = 500

    def _emit(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [str(self._count + number) for number in range(outputs)]
        self._count += outputs
        self._nodes.append(helper.make_node(kind, inputs, names, name=f"{kind}_{names[0]}", **attributes))
        return names[0]

    def _table(self, value: Any) -> str:
        name = str(self._count)
        self._count += 1
        self._tables[name] = np.asarray(value)
        return name

    def _number(self, value: float) -> str:
        return self._emit("Constant", value=numpy_helper.from_array(np.array(value, dtype=np.float32)))

    def _own(self, name: str) -> str:
        self._tables[name] = self._weights[name]
        return name

    def _fake_quant(self, x: str, largest: float) -> str:
        if not self._fake:
            return x
        scale, zero = self._table(np.float32(largest / 127)), self._table(np.int8(0))
        return self._emit("DequantizeLinear", self._emit("QuantizeLinear", x, scale, zero), scale, zero)

    def _linear(self, x: str, name: str) -> str:
        kernel = np.ascontiguousarray(self._weights[f"{name}.weight"].T)
        weight = self._fake_quant(self._table(kernel), float(np.abs(kernel).max()))
        product = self._emit("MatMul", self._fake_quant(x, 8.0), weight)
        return self._emit("Add", product, self._own(f"{name}.bias"))

    def _norm(self, x: str, name: str) -> str:
        centred = self._emit("Sub", x, self._emit("ReduceMean", x, axes=[-1]))
        variance = self._emit("ReduceMean", self._emit("Pow", centred, self._number(2.0)), axes=[-1])
        deviation = self._emit("Sqrt", self._emit("Add", variance, self._number(1e-12)))
        scaled = self._emit("Mul", self._emit("Div", centred, deviation), self._own(f"{name}.LayerNorm.weight"))
        return self._emit("Add", scaled, self._own(f"{name}.LayerNorm.bias"))

    def _gelu(self, x: str) -> str:
        erf = self._emit("Erf", self._emit("Div", x, self._number(2**0.5)))
        return self._emit("Mul", self._emit("Mul", x, self._emit("Add", erf, self._number(1.0))), self._number(0.5))

    def _heads(self, x: str, perm: list[int]) -> str:
        return self._emit("Transpose", self._emit("Reshape", x, self._table(np.array([0, 0, -1, 64]))), perm=perm)

    def _layer(self, x: str, bias: str, name: str) -> str:
        query, key, value = (self._linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        scores = self._emit("MatMul", self._heads(query, [0, 2, 1, 3]), self._heads(key, [0, 2, 3, 1]))
        shares = self._emit("Softmax", self._emit("Add", self._emit("Div", scores, self._number(8.0)), bias), axis=3)
        mixed = self._emit("MatMul", shares, self._heads(value, [0, 2, 1, 3]))
        mixed = self._emit("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = self._emit("Reshape", mixed, self._table(np.array([0, 0, -1])))
        x = self._norm(
            self._emit("Add", self._linear(mixed, f"{name}.attention.output.dense"), x), f"{name}.attention.output"
        )
        y = self._linear(self._gelu(self._linear(x, f"{name}.intermediate.dense")), f"{name}.output.dense")
        return self._norm(self._emit("Add", y, x), f"{name}.output")

    def write(self, path: Path, outputs: tuple[str, str], batch_size: int | str = "batch_size") -> Path:
        ids, mask, segments = self._inputs
        place = "bert.embeddings"
        words = self._emit("Gather", self._own(f"{place}.word_embeddings.weight"), ids)
        positions = self._weights[f"{place}.position_embeddings.weight"]
        self._tables[f"{place}.position_embeddings.weight"] = positions
        table = self._table(np.arange(LENGTH)[None])
        x = self._emit("Add", words, self._emit("Gather", f"{place}.position_embeddings.weight", table))
        kinds = self._emit("Gather", self._own(f"{place}.token_type_embeddings.weight"), segments)
        x = self._norm(self._emit("Add", x, kinds), place)
        wide = self._emit("Unsqueeze", self._emit("Unsqueeze", mask, axes=[1]), axes=[2])
        padding = self._emit("Sub", self._number(1.0), self._emit("Cast", wide, to=1))
        bias = self._emit("Mul", padding, self._number(-10000.0))
        layers = 1 + max(int(name.split(".")[3]) for name in self._weights if "encoder" in name)
        for number in range(layers):
            x = self._layer(x, bias, f"bert.encoder.layer.{number}")
        first = self._emit("Split", self._linear(x, "qa_outputs"), outputs=2, axis=-1, split=[1, 1])
        for name, part in zip(outputs, (first, str(int(first) + 1)), strict=True):
            self._nodes.append(helper.make_node("Squeeze", [part], [name], axes=[-1]))
        shape = [batch_size, LENGTH]
        graph = helper.make_graph(
            self._nodes,
            "torch-jit-export",
            [helper.make_tensor_value_info(name, 7, shape) for name in self._inputs],
            [helper.make_tensor_value_info(name, 1, shape) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self._tables.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path


LOGITS = ("output_start_logits", "output_end_logits")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    return Exported(WEIGHTS, networks.INPUTS).write(path, LOGITS)


def test_the_onnx_graph_runs_as_it_is(exported: Path) -> None:
    found = graphs.look(exported, detect(exported))
    assert found.interface == networks.OFFICIAL
    assert found.config == SMALL
    agree(np.stack(run_as_it_is(exported, "onnxruntime"), axis=-1), tanh=False)


@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch", "tensorflow"])
def test_weights_of_the_onnx_graph(exported: Path, backend: str) -> None:
    agree(computed(exported, backend), tanh=False)
    read = official.READERS[detect(exported)](exported)
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(read[name], array)


def test_the_int8_graph_runs_as_it_is_with_its_own_names(tmp_path: Path) -> None:
    path = tmp_path / "bert_large_v1_1_fake_quant.onnx"
    Exported(WEIGHTS, networks.INT8_INPUTS, fake=True).write(path, ("4161", "4162"), batch_size=1)
    found = graphs.look(path, detect(path))
    assert [tensor.name for tensor in found.interface.outputs] == ["4161", "4162"]
    assert found.variant == "official int8 ONNX graph"
    logits = np.stack(run_as_it_is(path, "onnxruntime"), axis=-1)
    for row, wanted in zip(logits, expected(tanh=False), strict=True):
        assert np.corrcoef(row[: len(wanted)].ravel(), wanted.ravel())[0, 1] > 0.95
    with pytest.raises(ModelFileError, match="quantised graph"):
        official.READERS[detect(path)](path)


def test_a_graph_of_another_bert_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    Exported(draw(replace(SMALL, layers=1), 3), networks.INPUTS).write(path, LOGITS)
    for call in (lambda: graphs.look(path, detect(path)), lambda: computed(path)):
        with pytest.raises(ModelFileError, match=r"BERT \(1 layers, hidden 128, vocabulary 101\), not BERT-Large"):
            call()


@pytest.mark.parametrize("tanh", [False, True])
def test_a_converted_bert_gives_the_references_outputs(tmp_path: Path, tanh: bool) -> None:
    weights = draw(replace(SMALL, tanh=tanh), 3)
    path, packed = tmp_path / "bert.onnx", tmp_path / "bert.safetensors"
    path.write_bytes(serialize(networks.checked(weights, "w")))
    weight_files.write(packed, weights)
    assert graphs.look(path, detect(path)).interface == networks.OWN
    agree(run_as_it_is(path, "onnxruntime")[0], tanh=tanh)
    agree(computed(path), tanh=tanh)
    agree(computed(packed), tanh=tanh)


# --- model.pb and model.ckpt-5474 ------------------------------------------------------------------------------------


def variables(weights: Mapping[str, Array]) -> dict[str, Array]:
    """The weights as TensorFlow's training names and lays them out."""
    heads = {"qa_outputs.weight": "cls/squad/output_weights", "qa_outputs.bias": "cls/squad/output_bias"}
    found = {}
    for name, array in weights.items():
        layer, _, part = name.rpartition(".")
        path = layer.replace("layer.", "layer_").replace(".", "/")
        if name in heads:
            found[heads[name]] = array
        elif layer.endswith("_embeddings"):
            found[path] = array
        elif layer.endswith("LayerNorm"):
            found[f"{path}/{'gamma' if part == 'weight' else 'beta'}"] = array
        else:
            found[f"{path}/{'kernel' if part == 'weight' else 'bias'}"] = array.T
    return found


def frozen_graph(path: Path, weights: Mapping[str, Array], length: int = LENGTH) -> Path:
    """The graph as TensorFlow's BERT makes it: one sample, whole numbers of 32 bits, rows for its products."""
    import tensorflow as tf

    v1, found = tf.compat.v1, variables(weights)
    layers = 1 + max(int(name.split(".")[3]) for name in weights if "encoder" in name)

    def own(name: str) -> Any:
        return tf.identity(tf.constant(found[name], name=name), name=f"{name}/read")

    def dense(x: Any, name: str) -> Any:
        return tf.nn.bias_add(tf.matmul(x, own(f"{name}/kernel")), own(f"{name}/bias"))

    def norm(x: Any, name: str) -> Any:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        scope = f"{name}/LayerNorm"
        return tf.nn.batch_normalization(x, mean, variance, own(f"{scope}/beta"), own(f"{scope}/gamma"), 1e-12)

    def heads(x: Any) -> Any:
        return tf.transpose(tf.reshape(x, (1, length, -1, 64)), (0, 2, 1, 3))

    with tf.Graph().as_default() as graph:
        ids, mask, segments = (v1.placeholder(tf.int32, (1, length), name) for name in networks.INPUTS)
        words = tf.gather(own("bert/embeddings/word_embeddings"), tf.reshape(ids, (-1,)))
        table = own("bert/embeddings/token_type_embeddings")
        kinds = tf.matmul(tf.one_hot(tf.reshape(segments, (-1,)), 2), table)
        places = tf.slice(own("bert/embeddings/position_embeddings"), (0, 0), (length, -1))
        x = norm(words + kinds + places, "bert/embeddings")
        bias = (1.0 - tf.cast(mask, tf.float32)[:, None, None, :]) * -10000.0
        for number in range(layers):
            name = f"bert/encoder/layer_{number}"
            q, k, v = (heads(dense(x, f"{name}/attention/self/{part}")) for part in ("query", "key", "value"))
            shares = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / 8.0 + bias)
            mixed = tf.reshape(tf.transpose(tf.matmul(shares, v), (0, 2, 1, 3)), (length, -1))
            x = norm(dense(mixed, f"{name}/attention/output/dense") + x, f"{name}/attention/output")
            y = tf.nn.gelu(dense(x, f"{name}/intermediate/dense"), approximate=True)
            x = norm(dense(y, f"{name}/output/dense") + x, f"{name}/output")
        logits = tf.matmul(x, own("cls/squad/output_weights"), transpose_b=True)
        logits = tf.nn.bias_add(logits, own("cls/squad/output_bias"))
        tf.reshape(logits, (1, length, 2), name="logits")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_graph(tmp_path_factory.mktemp("models") / "model.pb", WEIGHTS)


def test_the_frozen_graph_runs_as_it_is_one_by_one(frozen: Path) -> None:
    found = graphs.look(frozen, detect(frozen))
    assert found.interface == networks.FROZEN
    assert found.config == SMALL
    (logits,) = run_as_it_is(frozen, "tensorflow")
    assert logits.shape == (2, LENGTH, 2)
    agree(logits, tanh=True)


@pytest.mark.parametrize("backend", ["onnxruntime", "pytorch", "tensorflow"])
def test_weights_of_the_frozen_graph(frozen: Path, backend: str) -> None:
    agree(computed(frozen, backend), tanh=True)


def test_the_tensorflow_checkpoint_gives_the_references_outputs(tmp_path: Path) -> None:
    import tensorflow as tf

    v1, training = tf.compat.v1, ("adam_m", "adam_v")
    with tf.Graph().as_default(), v1.Session() as session:
        for name, array in variables(WEIGHTS).items():
            v1.get_variable(name, initializer=array)
            for kind in training:
                v1.get_variable(f"{name}/{kind}", initializer=np.zeros_like(array))
        v1.get_variable("bert/pooler/dense/kernel", initializer=np.zeros((128, 128), dtype=np.float32))
        v1.get_variable("global_step", initializer=np.int64(5474))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=5474)
    path = tmp_path / "model.ckpt-5474.index"
    agree(computed(path), tanh=True)
    (tmp_path / "model.ckpt-5474.data-00000-of-00001").unlink()
    with pytest.raises(ModelFileError, match="no TensorFlow checkpoint"):
        computed(path)


def test_a_frozen_graph_of_another_length_or_size_is_refused(tmp_path: Path) -> None:
    short = frozen_graph(tmp_path / "short.pb", WEIGHTS, 128)
    with pytest.raises(ModelFileError, match="other inputs or outputs"):
        run_as_it_is(short, "tensorflow")
    other = frozen_graph(tmp_path / "other.pb", draw(replace(SMALL, layers=3), 3))
    with pytest.raises(ModelFileError, match=r"BERT \(3 layers, hidden 128, vocabulary 101\), not BERT-Large"):
        run_as_it_is(other, "tensorflow")


def test_other_models_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())
    for call in (lambda: graphs.look(path, detect(path)), lambda: computed(path)):
        with pytest.raises(ModelFileError, match="does not hold a BERT"):
            call()
