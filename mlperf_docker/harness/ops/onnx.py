"""Operations as an emitter of an ONNX graph: each call adds a node, and tensors are names."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlperf_docker.harness.api.interface import Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.ops import MASKED, LstmWeights

OPSET = 17
IR_VERSION = 8
"""Old enough for every onnxruntime that the locks name; nothing newer is used."""

LARGE = 256 << 20
"""Bytes of an initializer that a file has no room for: protobuf ends at 2 GB."""
SHARED = 1 << 20
"""Bytes of an initializer that a session is given beside the graph. It reads the array where it is; in the graph it
would be copied several times on its way, which costs BERT-Large seconds and gigabytes."""

Attribute = int | float | list[int]

DTYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64}


class OnnxOps:
    """Builds one graph. Tensors are the names of ONNX values.

    outside: initializers of *most* bytes or more, by name, once `model` was called. The file only says that they are
    elsewhere.
    """

    def __init__(self, most: int = LARGE) -> None:
        self._most = most
        self._nodes: list[Any] = []
        self._arrays: dict[str, NDArray[Any]] = {}
        self.outside: dict[str, NDArray[Any]] = {}

    def _emit(self, operator: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        output = f"{operator}_{len(self._nodes)}"
        node = helper.make_node(operator, list(inputs), [output], name=output)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """An initializer called *name*, if a node takes it."""
        self._arrays[name] = value
        return name

    def _initializer(self, name: str) -> TensorProto:
        value = self._arrays[name]
        if value.nbytes < self._most:
            return numpy_helper.from_array(value, name)
        self.outside[name] = value
        return _elsewhere(name, value)

    def _table(self, *values: float, dtype: str = "int64") -> str:
        """A small constant, made once for each content."""
        name = f"{dtype}:{','.join(map(str, values))}"
        return self.constant(name, np.array(values, dtype=dtype))

    def _scalar(self, value: float, dtype: str) -> str:
        return self.constant(f"{dtype}={value}", np.array(value, dtype=dtype))

    def image(self, x: str) -> str:
        """The input itself: ONNX has channels in front."""
        return x

    def channels_last(self, x: str) -> str:
        """Transpose."""
        return self._emit("Transpose", (x,), perm=[0, 2, 3, 1])

    def conv2d(
        self,
        x: str,
        weight: str,
        bias: str | None = None,
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> str:
        """Conv."""
        shape: dict[str, Attribute] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        inputs = (x, weight) if bias is None else (x, weight, bias)
        return self._emit("Conv", inputs, group=groups, **shape)

    def batch_norm(self, x: str, scale: str, bias: str, mean: str, variance: str, *, epsilon: float = 1e-5) -> str:
        """BatchNormalization in inference mode; a runtime folds it into the convolution before it."""
        return self._emit("BatchNormalization", (x, scale, bias, mean, variance), epsilon=epsilon)

    def standardize(self, x: str, mean: str, deviation: str) -> str:
        """Sub and Div with (channels, 1, 1)."""
        mean, deviation = (self._emit("Unsqueeze", (each, self._table(1, 2))) for each in (mean, deviation))
        return self._emit("Div", (self._emit("Sub", (x, mean)), deviation))

    def upsample_nearest(self, x: str, factor: int) -> str:
        """Resize; asymmetric coordinates rounded down are what repeats each pixel."""
        output = self._emit("Resize", (x, "", self._table(1.0, 1.0, factor, factor, dtype="float32")))
        settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        self._nodes[-1].attribute.extend(helper.make_attribute(key, value) for key, value in settings.items())
        return output

    def volume(self, x: str) -> str:
        """The input itself."""
        return x

    def channels_first(self, x: str) -> str:
        """The volume itself."""
        return x

    def conv3d(
        self, x: str, weight: str, bias: str | None = None, *, kernel: int, stride: int = 1, padding: int = 0
    ) -> str:
        """Conv."""
        shape: dict[str, Attribute] = {"kernel_shape": [kernel] * 3, "strides": [stride] * 3, "pads": [padding] * 6}
        return self._emit("Conv", (x, weight) if bias is None else (x, weight, bias), **shape)

    def conv_transpose3d(self, x: str, weight: str, bias: str, *, kernel: int) -> str:
        """ConvTranspose."""
        return self._emit("ConvTranspose", (x, weight, bias), kernel_shape=[kernel] * 3, strides=[kernel] * 3)

    def instance_norm(self, x: str, scale: str, bias: str, *, epsilon: float = 1e-5) -> str:
        """Means of means, axis by axis: InstanceNormalization adds millions of values up one by one in float32.

        Its logits are off by up to 3e-3 of their spread, these by 2e-5, and they take no longer.
        """
        scale, bias = (self._emit("Unsqueeze", (each, self._table(1, 2, 3))) for each in (scale, bias))
        centred = self._emit("Sub", (x, self._spatial_mean(x)))
        variance = self._spatial_mean(self._emit("Mul", (centred, centred)))
        deviation = self._emit("Sqrt", (self._emit("Add", (variance, self._scalar(epsilon, "float32"))),))
        return self._emit("Add", (self._emit("Mul", (centred, self._emit("Div", (scale, deviation)))), bias))

    def _spatial_mean(self, x: str) -> str:
        for axis in (4, 3, 2):
            x = self._emit("ReduceMean", (x,), axes=[axis])
        return x

    def join(self, parts: list[str]) -> str:
        """Concat on the channels."""
        return self._emit("Concat", parts, axis=1)

    def relu(self, x: str) -> str:
        """Relu."""
        return self._emit("Relu", (x,))

    def sigmoid(self, x: str) -> str:
        """Sigmoid."""
        return self._emit("Sigmoid", (x,))

    def exp(self, x: str) -> str:
        """Exp."""
        return self._emit("Exp", (x,))

    def add(self, x: str, y: str) -> str:
        """Add."""
        return self._emit("Add", (x, y))

    def sub(self, x: str, y: str) -> str:
        """Sub."""
        return self._emit("Sub", (x, y))

    def mul(self, x: str, y: str) -> str:
        """Mul."""
        return self._emit("Mul", (x, y))

    def clip(self, x: str, low: float, high: float) -> str:
        """Clip."""
        return self._emit("Clip", (x, self._scalar(low, "float32"), self._scalar(high, "float32")))

    def max_pool2d(self, x: str, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> str:
        """MaxPool, whose pads are in the same order: begin of each axis, then end of each."""
        return self._emit("MaxPool", (x,), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=list(padding))

    def global_avg_pool(self, x: str) -> str:
        """GlobalAveragePool, then the two axes of length 1 dropped."""
        return self._emit("Flatten", (self._emit("GlobalAveragePool", (x,)),), axis=1)

    def linear(self, x: str, weight: str, bias: str | None = None) -> str:
        """Gemm with the weight transposed."""
        return self._emit("Gemm", (x, weight) if bias is None else (x, weight, bias), transB=1)

    def row_products(self, x: str, y: str) -> str:
        """MatMul with the second one transposed."""
        return self._emit("MatMul", (x, self._emit("Transpose", (y,), perm=[0, 2, 1])))

    def select(self, x: str, places: NDArray[Any]) -> str:
        """Gather along the last axis."""
        return self._emit("Gather", (x, self._table(*places.tolist())), axis=-1)

    def to_float(self, x: str) -> str:
        """Cast."""
        return self._emit("Cast", (x,), to=TensorProto.FLOAT)

    def softmax(self, x: str) -> str:
        """Softmax over the last axis."""
        return self._emit("Softmax", (x,), axis=-1)

    def argmax(self, x: str) -> str:
        """ArgMax over the last axis."""
        return self._emit("ArgMax", (x,), axis=-1, keepdims=0)

    def reduce_max(self, x: str) -> str:
        """ReduceMax over the last axis."""
        return self._emit("ReduceMax", (x,), axes=[-1], keepdims=0)

    def top_k(self, x: str, k: int) -> tuple[str, str]:
        """TopK over the last axis, sorted; of equals the one with the lower index comes first."""
        values = self._emit("TopK", (x, self._table(k)), axis=-1, largest=1, sorted=1)
        node = self._nodes[-1]
        node.output.append(f"{values}_indices")
        return values, node.output[1]

    def take(self, x: str, indices: str) -> str:
        """GatherND along the first axis after the batch."""
        return self._emit("GatherND", (x, self._emit("Unsqueeze", (indices, self._table(-1)))), batch_dims=1)

    def floor_divide(self, x: str, divisor: int) -> str:
        """Div, which truncates integers."""
        return self._emit("Div", (x, self._scalar(divisor, "int64")))

    def remainder(self, x: str, divisor: int) -> str:
        """Mod."""
        return self._emit("Mod", (x, self._scalar(divisor, "int64")))

    def reshape(self, x: str, *shape: int) -> str:
        """Reshape, where 0 keeps the batch."""
        return self._emit("Reshape", (x, self._table(0, *shape)))

    def slice(self, x: str, start: int, stop: int) -> str:
        """Slice of the last axis."""
        return self._emit("Slice", (x, self._table(start), self._table(stop), self._table(-1)))

    def concat(self, parts: list[str], axis: int) -> str:
        """Concat."""
        return self._emit("Concat", parts, axis=axis)

    def embedding(self, table: str, ids: str) -> str:
        """Gather."""
        return self._emit("Gather", (table, ids), axis=0)

    def first_rows(self, table: str, x: str) -> str:
        """Slice of the first axis, up to the length that Shape tells."""
        length = self._emit("Shape", (x,), start=1, end=2)
        return self._emit("Slice", (table, self._table(0), length, self._table(0)))

    def rows(self, x: str) -> str:
        """Reshape that keeps the last axis."""
        shape = self._emit("Concat", (self._table(-1), self._emit("Shape", (x,), start=-1)), axis=0)
        return self._emit("Reshape", (x, shape))

    def sequences(self, x: str, like: str) -> str:
        """Reshape to the shape of *like* and one axis more."""
        shape = self._emit("Concat", (self._emit("Shape", (like,), end=2), self._table(-1)), axis=0)
        return self._emit("Reshape", (x, shape))

    def swap(self, x: str) -> str:
        """Transpose."""
        return self._emit("Transpose", (x,), perm=[1, 0, 2])

    def cut_off(self, x: str, lengths: str) -> str:
        """Product with 1 and 0."""
        length = self._emit("Squeeze", (self._emit("Shape", (x,), end=1),))
        times = self._emit("Range", (self._scalar(0, "int64"), length, self._scalar(1, "int64")))
        kept = self._emit("Less", (self._emit("Unsqueeze", (times, self._table(1))), lengths))
        factor = self._emit("Unsqueeze", (self._emit("Cast", (kept,), to=TensorProto.FLOAT), self._table(2)))
        return self._emit("Mul", (x, factor))

    def stack_pairs(self, x: str) -> str:
        """Pad, Reshape, Transpose, Reshape."""
        length, sizes = self._emit("Shape", (x,), end=1), self._emit("Shape", (x,), start=1)
        odd = self._emit("Mod", (length, self._table(2)))
        pads = self._emit("Concat", (self._table(0, 0, 0), odd, self._table(0, 0)), axis=0)
        split = self._emit("Concat", (self._table(-1, 2), sizes), axis=0)
        pairs = self._emit("Reshape", (self._emit("Pad", (x, pads)), split))
        return self._emit("Reshape", (self._emit("Transpose", (pairs,), perm=[0, 2, 1, 3]), self._table(0, 0, -1)))

    def lstm(self, x: str, weights: LstmWeights[str]) -> str:
        """LSTM, whose gates are in the order input, output, forget, cell, and which has an axis for directions."""
        outputs = self._emit("LSTM", (x, *self._gated(weights)), hidden_size=self._hidden(weights))
        return self._emit("Squeeze", (outputs, self._table(1)))

    def lstm_cell(self, x: str, weights: LstmWeights[str], hidden: str, cell: str) -> tuple[str, str]:
        """LSTM for one step; its last states are further outputs."""
        start = [self._emit("Unsqueeze", (each, self._table(0))) for each in (x, hidden, cell)]
        inputs = (start[0], *self._gated(weights), "", *start[1:])
        outputs = self._emit("LSTM", inputs, hidden_size=self._hidden(weights))
        ends = [f"{outputs}_hidden", f"{outputs}_cell"]
        self._nodes[-1].output.extend(ends)
        after = [self._emit("Squeeze", (end, self._table(0))) for end in ends]
        return after[0], after[1]

    def _hidden(self, weights: LstmWeights[str]) -> int:
        return int(self._arrays[weights.from_hidden].shape[1])

    def _gated(self, weights: LstmWeights[str]) -> tuple[str, str, str]:
        """The inputs W, R and B of an LSTM."""
        bias = [self._gates(name) for name in (weights.input_bias, weights.hidden_bias)]
        biases = self.constant(f"{weights.input_bias}:both", np.concatenate(bias)[None])
        kernels = [
            self.constant(f"{name}:iofc", self._gates(name)[None]) for name in (weights.from_input, weights.from_hidden)
        ]
        return kernels[0], kernels[1], biases

    def _gates(self, name: str) -> NDArray[Any]:
        """A weight of an LSTM, its rows from PyTorch's order of gates to ONNX's."""
        first, forget, cell, last = np.split(self._arrays[name], 4)
        return np.concatenate((first, last, forget, cell))

    def layer_norm(self, x: str, scale: str, bias: str, *, epsilon: float) -> str:
        """LayerNormalization, which onnxruntime fuses with a sum before it."""
        return self._emit("LayerNormalization", (x, scale, bias), axis=-1, epsilon=epsilon)

    def gelu(self, x: str) -> str:
        """Div, Erf, Add, Mul, Mul, in the order in which onnxruntime makes one operator of them."""
        erf = self._emit("Erf", (self._emit("Div", (x, self._scalar(math.sqrt(2), "float32"))),))
        doubled = self._emit("Mul", (x, self._emit("Add", (erf, self._scalar(1.0, "float32")))))
        return self._emit("Mul", (doubled, self._scalar(0.5, "float32")))

    def gelu_tanh(self, x: str) -> str:
        """Pow, Tanh, and Mul and Add between them, in the order in which onnxruntime makes one operator of them."""
        cube = self._emit(
            "Mul", (self._emit("Pow", (x, self._scalar(3.0, "float32"))), self._scalar(0.044715, "float32"))
        )
        inner = self._emit("Mul", (self._emit("Add", (x, cube)), self._scalar(math.sqrt(2 / math.pi), "float32")))
        doubled = self._emit("Add", (self._emit("Tanh", (inner,)), self._scalar(1.0, "float32")))
        return self._emit("Mul", (self._emit("Mul", (x, self._scalar(0.5, "float32"))), doubled))

    def key_bias(self, mask: str) -> str:
        """(1 - mask) · MASKED."""
        padding = self._emit("Sub", (self._scalar(1.0, "float32"), self._emit("Cast", (mask,), to=TensorProto.FLOAT)))
        bias = self._emit("Mul", (padding, self._scalar(MASKED, "float32")))
        return self._emit("Unsqueeze", (bias, self._table(1, 2)))

    def attention(self, query: str, key: str, value: str, bias: str, *, heads: int, size: int) -> str:
        """MatMul, Softmax, MatMul. onnxruntime's own operators for all of it are no faster on a CPU."""
        batch, length = self._emit("Shape", (bias,), end=1), self._emit("Shape", (bias,), start=3)
        split = self._emit("Concat", (batch, length, self._table(heads, size)), axis=0)
        q, k, v = (
            self._emit("Transpose", (self._emit("Reshape", (x, split)),), perm=perm)
            for x, perm in ((query, [0, 2, 1, 3]), (key, [0, 2, 3, 1]), (value, [0, 2, 1, 3]))
        )
        scores = self._emit("Div", (self._emit("MatMul", (q, k)), self._scalar(math.sqrt(size), "float32")))
        shares = self._emit("Softmax", (self._emit("Add", (scores, bias)),), axis=-1)
        y = self._emit("Transpose", (self._emit("MatMul", (shares, v)),), perm=[0, 2, 1, 3])
        return self._emit("Reshape", (y, self._table(-1, heads * size)))

    def model(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, Tensor]]) -> bytes:
        """The graph as the bytes of an .onnx file.

        outputs: a value of the graph, and the name, type and shape under which it leaves. Raises onnx's checker error
        for a graph that is not well formed.
        """
        nodes = [*self._nodes, *(helper.make_node("Identity", [value], [tensor.name]) for value, tensor in outputs)]
        taken = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            name,
            [_value(tensor) for tensor in inputs],
            [_value(tensor) for _, tensor in outputs],
            [self._initializer(name) for name in self._arrays if name in taken],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mlperf-docker")
        serialized: bytes = model.SerializeToString()
        if not self.outside:  # it would look for files
            onnx.checker.check_model(serialized)  # given the model, it would make these bytes once more
        return serialized


def serialize(network: Network) -> bytes:
    """The network as the bytes of an .onnx file, with all of its outputs."""
    return split(network, LARGE)[0]


def split(network: Network, most: int) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The same without the initializers of *most* bytes or more, and these."""
    ops = OnnxOps(most)
    inputs = network.interface.inputs
    outputs = network.outputs(ops, tuple(tensor.name for tensor in inputs))
    return ops.model(network.name, inputs, tuple(zip(outputs, network.interface.outputs, strict=True))), ops.outside


def _elsewhere(name: str, value: NDArray[Any]) -> TensorProto:
    """An initializer without its values."""
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=value.shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="memory")
    return tensor


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    # An axis of any length has a name: those with the same name are equally long.
    shape = [f"N{place or ''}" if axis is None else axis for place, axis in enumerate(tensor.shape)]
    return helper.make_tensor_value_info(tensor.name, DTYPES[tensor.dtype], shape)
