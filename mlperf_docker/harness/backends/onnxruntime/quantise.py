"""int8 for networks on onnxruntime: its own quantiser, applied to the graph that `ops/onnx.py` wrote.

Weights of matrix products become int8, with a scale for each output; what they are multiplied with is quantised when
the network runs, to uint8 with one scale for the tensor. So no data are needed to calibrate it. Everything between the
products stays float32. Signed weights are what onnxruntime has quick kernels for on a CPU: unsigned ones are no faster
than float32.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

FEW = 16
"""Outputs below which a product stays float32: there is no time to be gained, and such a layer is a network's last."""


def quantise(model: bytes) -> bytes:
    """The .onnx file *model* with its matrix products by constants in int8. Needs about four times its size in memory.

    Takes a second for each 60 MB. The quantiser writes the model into a temporary folder on its way.
    """
    # Only here: it brings half of onnxruntime's tools with it.
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.quant_utils import QuantizationMode, QuantType

    graph = onnx.load_from_string(model)
    quantizer = ONNXQuantizer(
        graph,
        per_channel=True,
        reduce_range=False,
        mode=QuantizationMode.IntegerOps,
        static=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=None,
        nodes_to_quantize=[],
        nodes_to_exclude=_split_products(graph.graph),
        op_types_to_quantize=["MatMul"],
        extra_options={"MatMulConstBOnly": True},
    )
    quantizer.quantize_model()
    serialized: bytes = quantizer.model.model.SerializeToString()
    return serialized


def _split_products(graph: Any) -> list[str]:  # noqa: ANN401 (an onnx.GraphProto, which comes without types)
    """Make each Gemm with transposed weights a MatMul and an Add, in place; names of those with few outputs.

    The quantiser would do it itself, but keep every weight twice.
    """
    tables = {tensor.name: tensor for tensor in graph.initializer}
    turned: set[str] = set()
    small = []
    nodes = []
    for node in graph.node:
        if node.op_type != "Gemm" or node.input[1] not in tables:
            nodes.append(node)
            continue
        x, weight, bias = node.input
        table = tables[weight]
        if weight not in turned:
            array = np.ascontiguousarray(numpy_helper.to_array(table).T)
            table.CopyFrom(numpy_helper.from_array(array, weight))
            turned.add(weight)
        product = f"{node.output[0]}_product"
        nodes.append(helper.make_node("MatMul", [x, weight], [product], name=product))
        nodes.append(helper.make_node("Add", [product, bias], list(node.output), name=node.name))
        small += [product] if table.dims[1] < FEW else []
    del graph.node[:]
    graph.node.extend(nodes)
    return small
