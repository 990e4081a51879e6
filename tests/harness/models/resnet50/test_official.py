"""Official files of ResNet-50: run as they are, and read as weights for the architecture.

The files are small, but laid out as the official ones are: names, layouts, nodes. Each is made here with its framework
alone, so that the architecture is checked against something else than itself.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.backend import LoadRequest
from mlperf_docker.harness.api.errors import ModelFileError
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.architectures.resnet50 import ResNetConfig
from mlperf_docker.harness.backends import registry
from mlperf_docker.harness.models import registry as models
from mlperf_docker.harness.models.opening import open_model
from mlperf_docker.harness.models.resnet50 import from_onnx, from_tensorflow
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.ops.onnx import serialize
from mlperf_docker.harness.weights.formats import detect

Array = NDArray[Any]
BLOCKS, WIDTH, CLASSES = (2, 1, 1, 2), 4, 1001


def draw_images() -> Array:
    """Large squares of different colours, with noise."""
    rng = np.random.default_rng(3)
    squares = rng.uniform(-100, 100, (3, 3, 7, 7)).repeat(32, 2).repeat(32, 3)
    return (squares + rng.standard_normal((3, 3, 224, 224)) * 20).astype(np.float32)


IMAGES = draw_images()


class Draw:
    """Random weights, of a size that keeps activations alive, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(11)

    def kernel(self, *shape: int) -> Array:
        """Height, width, in, out; or in, out."""
        return self._rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))

    def classifier(self, features: int) -> Array:
        """In, out; small enough for many classes to have a share of the probability."""
        return self.kernel(features, CLASSES) * np.float32(0.1)

    def norm(self, channels: int, spread: float = 1.0) -> dict[str, Array]:
        gamma, variance = self._rng.uniform(0.5, 1.5, (2, channels))
        beta, mean = self._rng.standard_normal((2, channels)) * 0.2
        parts = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance * spread}
        return {name: array.astype(np.float32) for name, array in parts.items()}


# --- resnet50_v1.pb ------------------------------------------------------------------------------------------------


class FrozenGraph:
    """Writes the graph as TensorFlow's official model makes it, with each variable a constant behind an identity."""

    def __init__(self, version: float = 1.5, epsilon: float = 1e-5) -> None:
        import tensorflow as tf

        self.tf, self.v1 = tf, tf.compat.v1
        self._draw, self._made = Draw(), {"conv2d": 0, "batch_normalization": 0}
        self._version, self._epsilon = version, epsilon

    def _scope(self, kind: str) -> str:
        number = self._made[kind]
        self._made[kind] += 1
        return f"resnet_model/{kind}_{number}" if number else f"resnet_model/{kind}"

    def _variable(self, name: str, value: Array) -> Any:
        constant = self.tf.constant(value, name=name)
        return self.tf.identity(constant, name=f"{name}/read")

    def _conv(self, x: Any, channels: int, kernel: int, stride: int = 1) -> Any:
        scope = self._scope("conv2d")
        if stride > 1:
            before = (kernel - 1) // 2
            x = self.tf.pad(x, [[0, 0], [before, kernel - 1 - before], [before, kernel - 1 - before], [0, 0]])
        weight = self._variable(f"{scope}/kernel", self._draw.kernel(kernel, kernel, x.shape[-1], channels))
        padding = "SAME" if stride == 1 else "VALID"
        return self.tf.nn.conv2d(x, weight, stride, padding, name=f"{scope}/Conv2D")

    def _norm(self, x: Any, spread: float = 1.0) -> Any:
        scope = self._scope("batch_normalization")
        parts = self._draw.norm(x.shape[-1], spread)
        gamma, beta, mean, variance = (self._variable(f"{scope}/{name}", parts[name]) for name in parts)
        options = {"epsilon": self._epsilon, "is_training": False, "name": f"{scope}/FusedBatchNorm"}
        return self.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, **options)[0]

    def _block(self, x: Any, width: int, stride: int, first: bool) -> Any:
        tf = self.tf
        shortcut = self._norm(self._conv(x, 4 * width, 1, stride)) if first else x
        strides = (1, stride) if self._version == 1.5 else (stride, 1)
        y = tf.nn.relu(self._norm(self._conv(x, width, 1, strides[0])))
        y = tf.nn.relu(self._norm(self._conv(y, width, 3, strides[1])))
        return tf.nn.relu(self._norm(self._conv(y, 4 * width, 1)) + shortcut)

    def definition(self, batch: int | None = None) -> Any:
        """The GraphDef."""
        tf, graph = self.tf, self.tf.Graph()
        with graph.as_default():
            x = self.v1.placeholder(tf.float32, (batch, 224, 224, 3), "input_tensor")
            x = tf.nn.relu(self._norm(self._conv(x, WIDTH, 7, 2), 9000.0))
            x = tf.nn.max_pool2d(x, 3, 2, "SAME")
            for stage, count in enumerate(BLOCKS):
                for block in range(count):
                    stride = 2 if stage and not block else 1
                    x = self._block(x, WIDTH * 2**stage, stride, first=block == 0)
            x = tf.squeeze(tf.reduce_mean(x, (1, 2), keepdims=True), (1, 2))
            weight = self._variable("resnet_model/dense/kernel", self._draw.classifier(x.shape[-1]))
            bias = self._variable("resnet_model/dense/bias", self._draw.norm(CLASSES)["beta"])
            x = tf.nn.bias_add(tf.matmul(x, weight), bias, name="resnet_model/dense/BiasAdd")
            x = tf.identity(x, name="resnet_model/final_dense")
            tf.argmax(x, axis=1, name="ArgMax")
            tf.nn.softmax(x, name="softmax_tensor")
        return graph.as_graph_def()


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "resnet50_v1.pb"
    path.write_bytes(FrozenGraph().definition().SerializeToString())
    return path


def rewritten(frozen: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """A copy of the graph in which *change* has been made to every node."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(frozen.read_bytes())
    for node in graph.node:
        change(node)
    path.write_bytes(graph.SerializeToString())
    return path


# --- resnet50_v1.onnx ----------------------------------------------------------------------------------------------


class OnnxGraph:
    """Writes the graph as tf2onnx leaves it: all normalisations but the first folded, names that mean nothing."""

    def __init__(self, draw: Draw | None = None) -> None:
        self._draw = draw or Draw()
        self._nodes: list[Any] = []
        self._tables: dict[str, Array] = {}
        self._count = 100

    def _emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        output = f"{kind}__{self._count}:0"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}__{self._count}", **attributes))
        return output

    def _table(self, name: str, value: Array) -> str:
        self._tables[name] = value
        return name

    def _conv(self, x: str, shape: tuple[int, int, int], stride: int = 1, bias: bool = True) -> str:
        channels, out, kernel = shape
        weight = self._draw.kernel(kernel, kernel, channels, out).transpose(3, 2, 0, 1)
        inputs = [x, self._table(f"const_fold_opt__{self._count}", np.ascontiguousarray(weight))]
        if bias:
            inputs.append(self._table(f"bias_fold__{self._count}", self._draw.norm(out)["beta"]))
        sides = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return self._emit("Conv", *inputs, **sides)

    def _block(self, x: str, channels: int, width: int, stride: int, first: bool) -> str:
        def shortcut() -> str:
            return self._conv(x, (channels, 4 * width, 1), stride) if first else x

        # tf2onnx sorts by itself: in some stages the shortcut comes first, in others last.
        early = shortcut() if stride == 1 else ""
        y = self._emit("Relu", self._conv(x, (channels, width, 1)))
        y = self._emit("Relu", self._conv(y, (width, width, 3), stride))
        y = self._conv(y, (width, 4 * width, 1))
        return self._emit("Relu", self._emit("Add", y, early or shortcut()))

    def model(self) -> onnx.ModelProto:
        x = self._conv("input_tensor:0", (3, WIDTH, 7), 2, bias=False)
        parts = self._draw.norm(WIDTH, 9000.0)
        names = [self._table(f"resnet_model/batch_normalization/{n}/read:0", array) for n, array in parts.items()]
        x = self._emit("Relu", self._emit("BatchNormalization", x, *names, epsilon=1e-5))
        x = self._emit("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
        channels = WIDTH
        for stage, count in enumerate(BLOCKS):
            for block in range(count):
                width, stride = WIDTH * 2**stage, 2 if stage and not block else 1
                x = self._block(x, channels, width, stride, first=block == 0)
                channels = 4 * width
        x = self._emit("Squeeze", self._emit("ReduceMean", x, axes=[2, 3], keepdims=1), axes=[2, 3])
        weight = self._table("resnet_model/dense/kernel/read:0", self._draw.classifier(channels))
        bias = self._table("resnet_model/dense/bias/read:0", self._draw.norm(CLASSES)["beta"])
        x = self._emit("Add", self._emit("MatMul", x, weight), bias)
        self._nodes.append(helper.make_node("ArgMax", [x], ["ArgMax:0"], axis=1, keepdims=0))
        self._nodes.append(helper.make_node("Softmax", [x], ["softmax_tensor:0"], axis=1))
        image = helper.make_tensor_value_info("input_tensor:0", onnx.TensorProto.FLOAT, ["unk__1", 3, 224, 224])
        outputs = [
            helper.make_tensor_value_info("ArgMax:0", onnx.TensorProto.INT64, ["unk__2"]),
            helper.make_tensor_value_info("softmax_tensor:0", onnx.TensorProto.FLOAT, ["unk__3", CLASSES]),
        ]
        tables = [numpy_helper.from_array(array, name) for name, array in self._tables.items()]
        graph = helper.make_graph(self._nodes, "tf2onnx", [image], outputs, tables)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
        onnx.checker.check_model(model)
        return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "resnet50_v1.onnx"
    onnx.save(OnnxGraph().model(), path)
    return path


def changed(exported: Path, path: Path, change: Callable[[Any], None]) -> Path:
    """A copy of the model with *change* made to its graph."""
    model = onnx.load(exported)
    change(model.graph)
    onnx.save(model, path)
    return path


# --- running and reading ---------------------------------------------------------------------------------------------


def natively(backend: str, path: Path, images: Array) -> tuple[Array, Array]:
    """Labels and probabilities that the file itself gives."""
    model = models.load("resnet50").native(path, detect(path))
    scores = networks.network({}, ResNetConfig(classes=CLASSES)).interface.outputs[1]
    interface = Interface(model.interface.inputs, (*model.interface.outputs, scores))
    request = LoadRequest(path, interface, Device.CPU, 2, model.format)
    labels, probabilities = registry.load(backend).load(request).predict((images,))
    return labels, probabilities


def through_weights(backend: str, path: Path, images: Array) -> tuple[Array, Array]:
    """Labels and probabilities of the architecture with the file's weights."""
    benchmark = models.load("resnet50")
    model = benchmark.network(benchmark.read(path, detect(path)), str(path))
    assert isinstance(model.source, Network)
    assert model.variant == "TensorFlow's weights"
    interface = model.source.interface.fetching("ArgMax:0", "softmax_tensor:0")
    labels, probabilities = (
        registry.load(backend).load(LoadRequest(model.source, interface, Device.CPU, 2)).predict((images,))
    )
    return labels, probabilities


def same(ours: tuple[Array, Array], theirs: tuple[Array, Array]) -> None:
    probabilities, largest = theirs[1], theirs[1].max()
    assert largest < 0.9, "a network that is sure of one class hides what differs"
    assert np.abs(probabilities - probabilities[::-1]).max() > 0.01 * largest, "images should differ"
    assert np.abs(ours[1] - probabilities).max() <= 1e-5 * largest
    np.testing.assert_array_equal(ours[0], theirs[0])


@pytest.mark.parametrize("backend", ["tensorflow", "onnxruntime"])
def test_weights_of_the_frozen_graph_give_what_the_graph_gives(frozen: Path, backend: str) -> None:
    theirs = natively("tensorflow", frozen, np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)))
    assert theirs[0].dtype == np.int64
    assert theirs[1].shape == (3, CLASSES)
    same(through_weights(backend, frozen, IMAGES), theirs)


@pytest.mark.parametrize("backend", ["tensorflow", "onnxruntime"])
def test_weights_of_the_onnx_graph_give_what_the_graph_gives(exported: Path, backend: str) -> None:
    same(through_weights(backend, exported, IMAGES), natively("onnxruntime", exported, IMAGES))


def test_the_official_files_are_run_as_they_are(frozen: Path, exported: Path) -> None:
    for path, backend, form in (
        (frozen, "tensorflow", ModelFormat.FROZEN_GRAPH),
        (exported, "onnxruntime", ModelFormat.ONNX),
    ):
        model = open_model(models.load("resnet50"), registry.load(backend), path)
        assert (model.source, model.format) == (path, form)


def test_an_official_file_of_another_backend_goes_through_its_weights(frozen: Path, exported: Path) -> None:
    for path, backend in ((frozen, "onnxruntime"), (exported, "tensorflow")):
        assert open_model(models.load("resnet50"), registry.load(backend), path).format is None


def test_a_graph_that_takes_one_image_at_a_time_is_fed_one_by_one(frozen: Path, tmp_path: Path) -> None:
    path = tmp_path / "resnet50_v1.pb"
    path.write_bytes(FrozenGraph().definition(batch=1).SerializeToString())
    images = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))
    same(natively("tensorflow", path, images), natively("tensorflow", frozen, images))


def test_a_folded_normalisation_leaves_every_number_as_it_is(exported: Path) -> None:
    arrays = from_onnx.read(exported)
    weight, variance = arrays["layer1.0.conv2.weight"], arrays["layer1.0.bn2.running_var"]
    assert (np.sqrt(variance + np.float32(1e-5)) == 1).all(), "in float32, as onnxruntime folds"
    factor = 1 / np.sqrt(variance.astype(np.float64) + 1e-5)
    folded = (weight.astype(np.float64) * factor[:, None, None, None]).astype(np.float32)
    np.testing.assert_array_equal(folded, weight)


def test_a_convolution_with_a_bias_before_its_normalisation(exported: Path, tmp_path: Path) -> None:
    def give_bias(graph: Any) -> None:
        graph.initializer.append(numpy_helper.from_array(np.linspace(-40, 40, WIDTH, dtype=np.float32), "late"))
        graph.node[0].input.append("late")

    path = changed(exported, tmp_path / "resnet50_v1.onnx", give_bias)
    same(through_weights("onnxruntime", path, IMAGES), natively("onnxruntime", path, IMAGES))
    assert (natively("onnxruntime", path, IMAGES)[1] != natively("onnxruntime", exported, IMAGES)[1]).any()


def test_an_onnx_file_that_we_wrote_keeps_its_names(frozen: Path, tmp_path: Path) -> None:
    arrays = from_tensorflow.read(frozen)
    path = tmp_path / "converted.onnx"
    path.write_bytes(serialize(networks.checked(arrays, "test")))
    again = from_onnx.read(path)
    assert again.keys() == arrays.keys()
    assert all((again[name] == array).all() for name, array in arrays.items())


def details(error: pytest.ExceptionInfo[ModelFileError]) -> str:
    return "\n".join((str(error.value), *error.value.details))


def renaming(old: str, new: str) -> Callable[[Any], None]:
    """A change of a node that gives *old* another name, also where it is an input."""

    def rename(node: Any) -> None:
        node.name = node.name.replace(old, new)
        for place, name in enumerate(node.input):
            node.input[place] = name.replace(old, new)

    return rename


def test_a_constant_under_another_name_is_missing_and_left_over(frozen: Path, tmp_path: Path) -> None:
    rename = renaming("batch_normalization_3/gamma", "batch_normalization_3/scale")
    with pytest.raises(ModelFileError) as error:
        from_tensorflow.read(rewritten(frozen, tmp_path / "graph.pb", rename))
    assert "1 missing, 0 misshapen, 1 unused" in details(error)
    assert "missing: resnet_model/batch_normalization_3/gamma [4]" in details(error)
    assert "unused: resnet_model/batch_normalization_3/scale [4]" in details(error)


def test_a_missing_kernel_is_noticed(frozen: Path, tmp_path: Path) -> None:
    rename = renaming("conv2d_5/kernel", "conv2d_5/filter")
    with pytest.raises(ModelFileError) as error:
        from_tensorflow.read(rewritten(frozen, tmp_path / "graph.pb", rename))
    assert "missing: resnet_model/conv2d_5/kernel" in details(error)


def test_a_graph_that_is_no_resnet50_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.constant(np.ones((3, 3), dtype=np.float32), name="resnet_model/dense/kernel")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(ModelFileError, match="not the official ResNet graph"):
        from_tensorflow.read(path)


def test_v1_is_told_from_v1_5_by_its_strides(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(FrozenGraph(version=1).definition().SerializeToString())
    with pytest.raises(ModelFileError, match=r"another variant of ResNet than v1\.5") as error:
        from_tensorflow.read(path)
    assert "layer2.0.conv1 has stride 2, not 1" in details(error)
    assert "layer2.0.conv2 has stride 1, not 2" in details(error)


def test_another_epsilon_is_refused(tmp_path: Path, exported: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(FrozenGraph(epsilon=1e-3).definition().SerializeToString())
    with pytest.raises(ModelFileError) as error:
        from_tensorflow.read(path)
    assert "bn1 has epsilon 0.001, not 1e-05" in details(error)

    def set_epsilon(graph: Any) -> None:
        graph.node[1].attribute[0].f = 1e-3

    with pytest.raises(ModelFileError) as error:
        from_onnx.read(changed(exported, tmp_path / "graph.onnx", set_epsilon))
    assert "bn1 has epsilon 0.001, not 1e-05" in details(error)


def test_a_table_that_no_layer_uses_is_named(exported: Path, tmp_path: Path) -> None:
    def add_table(graph: Any) -> None:
        graph.initializer.append(numpy_helper.from_array(np.ones(5, dtype=np.float32), "extra"))

    with pytest.raises(ModelFileError) as error:
        from_onnx.read(changed(exported, tmp_path / "graph.onnx", add_table))
    assert "unused: extra [5]" in details(error)


def test_a_head_without_bias_is_missing_it(exported: Path, tmp_path: Path) -> None:
    def drop_bias(graph: Any) -> None:
        sums = [node for node in graph.node if "resnet_model/dense/bias/read:0" in node.input]
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == sums[0].output[0]:
                    node.input[place] = sums[0].input[0]
        graph.node.remove(sums[0])

    with pytest.raises(ModelFileError) as error:
        from_onnx.read(changed(exported, tmp_path / "graph.onnx", drop_bias))
    assert "missing: fc.bias [1001]" in details(error)
    assert "unused: resnet_model/dense/bias/read:0 [1001]" in details(error)


def test_strides_in_other_convolutions_are_refused_in_onnx_too(exported: Path, tmp_path: Path) -> None:
    def move_stride(graph: Any) -> None:
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name == "strides" and node.op_type == "Conv":
                    attribute.ints[:] = [1, 1]

    with pytest.raises(ModelFileError) as error:
        from_onnx.read(changed(exported, tmp_path / "graph.onnx", move_stride))
    assert "layer2.0.downsample.0 has stride 1, not 2" in details(error)


@pytest.mark.parametrize("kind", ["Add", "Conv"])
def test_onnx_graphs_of_other_networks_are_refused(kind: str, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.ones((3, 3, 1, 1), dtype=np.float32), "w")
    nodes = [helper.make_node(kind, ["x", "w"], ["y"]), helper.make_node("Conv", ["y", "w"], ["z"])]
    image = [value("x", onnx.TensorProto.FLOAT, ["N", 3, 8, 8])]
    graph = helper.make_graph(nodes, "other", image, [value("z", onnx.TensorProto.FLOAT, None)], [weight])
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(ModelFileError, match="is not a ResNet"):
        from_onnx.read(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_truncated_files_are_named_with_their_size(frozen: Path, exported: Path, tmp_path: Path, share: float) -> None:
    for whole, read in ((frozen, from_tensorflow.read), (exported, from_onnx.read)):
        path = tmp_path / whole.name
        path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(ModelFileError) as error:
            read(path)
        if not share:
            assert f"{path} is empty" in str(error.value)
            continue
        assert f"{path} ({path.stat().st_size} bytes)" in str(error.value)
        assert error.value.hint


@pytest.mark.parametrize(
    ("module", "file", "backend"),
    [("tensorflow", "frozen", "tensorflow"), ("onnx", "exported", "onnxruntime")],
)
def test_without_the_framework_the_right_image_is_named(
    module: str, file: str, backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    path: Path = request.getfixturevalue(file)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "mlperf_docker.harness.backends.tensorflow.backend", raising=False)
    with pytest.raises(ModelFileError) as error:
        models.load("resnet50").read(path, detect(path))
    assert error.value.hint is not None
    assert f"--backend {backend}" in error.value.hint


def test_a_graph_may_be_called_anything_that_ends_in_its_format(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "my model.onnx"
    shutil.copy(exported, path)
    assert from_onnx.read(path).keys() == from_onnx.read(exported).keys()
