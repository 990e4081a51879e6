"""The operations as an emitter of an ONNX graph: each call adds a node, and tensors are names."""

from collections.abc import Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlperf_docker.harness.backends.base import Tensor

OPSET = 13
IR_VERSION = 8
"""Old enough for every onnxruntime that the locks name; nothing newer is used."""

Attribute = int | float | list[int]

DTYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


class OnnxOps:
    """Builds one graph. Tensors are the names of ONNX values."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}

    def _emit(self, operator: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        output = f"{operator}_{len(self._nodes)}"
        node = helper.make_node(operator, list(inputs), [output], name=output)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """An initializer called *name*."""
        self._initializers[name] = numpy_helper.from_array(value, name)
        return name

    def conv2d(self, x: str, weight: str, *, kernel: int, stride: int = 1, padding: int = 0) -> str:
        """Conv."""
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        return self._emit("Conv", (x, weight), **shape)

    def batch_norm(self, x: str, scale: str, bias: str, mean: str, variance: str, *, epsilon: float = 1e-5) -> str:
        """BatchNormalization in inference mode; a runtime folds it into the convolution before it."""
        return self._emit("BatchNormalization", (x, scale, bias, mean, variance), epsilon=epsilon)

    def relu(self, x: str) -> str:
        """Relu."""
        return self._emit("Relu", (x,))

    def add(self, x: str, y: str) -> str:
        """Add."""
        return self._emit("Add", (x, y))

    def max_pool2d(self, x: str, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> str:
        """MaxPool, whose pads are in the same order: begin of each axis, then end of each."""
        return self._emit("MaxPool", (x,), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=list(padding))

    def global_avg_pool(self, x: str) -> str:
        """GlobalAveragePool, then the two axes of length 1 dropped."""
        return self._emit("Flatten", (self._emit("GlobalAveragePool", (x,)),), axis=1)

    def linear(self, x: str, weight: str, bias: str) -> str:
        """Gemm with the weight transposed."""
        return self._emit("Gemm", (x, weight, bias), transB=1)

    def softmax(self, x: str) -> str:
        """Softmax over the last axis."""
        return self._emit("Softmax", (x,), axis=-1)

    def argmax(self, x: str) -> str:
        """ArgMax over the last axis."""
        return self._emit("ArgMax", (x,), axis=-1, keepdims=0)

    def model(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[tuple[str, Tensor]]) -> bytes:
        """The graph as the bytes of an .onnx file.

        outputs: a value of the graph, and the name, type and shape under which it leaves. Raises onnx's checker error
        for a graph that is not well formed.
        """
        nodes = [*self._nodes, *(helper.make_node("Identity", [value], [tensor.name]) for value, tensor in outputs)]
        graph = helper.make_graph(
            nodes,
            name,
            [_value(tensor) for tensor in inputs],
            [_value(tensor) for _, tensor in outputs],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mlperf-docker")
        onnx.checker.check_model(model)
        serialized: bytes = model.SerializeToString()
        return serialized


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    shape = ["N" if axis is None else axis for axis in tensor.shape]
    return helper.make_tensor_value_info(tensor.name, DTYPES[tensor.dtype], shape)
