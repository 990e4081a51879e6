"""Each operation of the ONNX emitter against numpy, run by onnxruntime."""

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from mlperf_docker.harness.backends.base import Tensor
from mlperf_docker.harness.ops.onnx import OnnxOps

Floats = NDArray[np.float32]
RNG = np.random.default_rng(7)
IMAGE = RNG.standard_normal((2, 3, 9, 8), dtype=np.float32)
KERNEL = RNG.standard_normal((4, 3, 3, 3), dtype=np.float32)
VECTORS = [np.abs(RNG.standard_normal(3, dtype=np.float32)) + 0.1 for _ in range(4)]
MATRIX = RNG.standard_normal((2, 5), dtype=np.float32)
WEIGHT = RNG.standard_normal((6, 5), dtype=np.float32)
BIAS = RNG.standard_normal(6, dtype=np.float32)


def run(x: Floats, build: Callable[[OnnxOps, str], str], dtype: str = "float32", rank: int | None = None) -> Floats:
    ops = OnnxOps()
    shape: tuple[int | None, ...] = (None,) * (rank or x.ndim)
    value = build(ops, "x")
    model = ops.model("test", (Tensor("x", "float32", x.shape),), ((value, Tensor("y", dtype, shape)),))
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    result: Floats = session.run(["y"], {"x": x})[0]
    return result


def windows(x: Floats, size: int, stride: int) -> Floats:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    found: Floats = view[:, :, ::stride, ::stride]
    return found


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (2, 3)])
def test_conv2d(stride: int, padding: int) -> None:
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    expected = np.einsum("nchwij,ocij->nohw", windows(padded, 3, stride), KERNEL)
    found = run(IMAGE, lambda o, x: o.conv2d(x, o.constant("w", KERNEL), kernel=3, stride=stride, padding=padding))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_batch_norm() -> None:
    scale, bias, mean, variance = (v[:, None, None] for v in VECTORS)
    expected = (IMAGE - mean) / np.sqrt(variance + 1e-5) * scale + bias
    names = "abcd"
    found = run(IMAGE, lambda o, x: o.batch_norm(x, *(o.constant(n, v) for n, v in zip(names, VECTORS, strict=True))))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [(0, 0, 1, 1), (1, 1, 1, 1), (1, 0, 0, 0)])
def test_max_pool2d_pads_each_side_by_itself(padding: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = padding
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    expected = windows(padded, 3, 2).max(axis=(4, 5))
    found = run(IMAGE, lambda o, x: o.max_pool2d(x, kernel=3, stride=2, padding=padding))
    np.testing.assert_array_equal(found, expected)


def test_relu_and_add() -> None:
    np.testing.assert_array_equal(run(IMAGE, lambda o, x: o.relu(x)), np.maximum(IMAGE, 0))
    np.testing.assert_array_equal(run(IMAGE, lambda o, x: o.add(x, o.relu(x))), IMAGE + np.maximum(IMAGE, 0))


def test_global_avg_pool() -> None:
    found = run(IMAGE, lambda o, x: o.global_avg_pool(x), rank=2)
    np.testing.assert_allclose(found, IMAGE.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)


def test_linear() -> None:
    found = run(MATRIX, lambda o, x: o.linear(x, o.constant("w", WEIGHT), o.constant("b", BIAS)))
    np.testing.assert_allclose(found, MATRIX @ WEIGHT.T + BIAS, rtol=1e-5, atol=1e-5)


def test_softmax_and_argmax() -> None:
    powers = np.exp(MATRIX)
    np.testing.assert_allclose(run(MATRIX, lambda o, x: o.softmax(x)), powers / powers.sum(1, keepdims=True), rtol=1e-5)
    found = run(MATRIX, lambda o, x: o.argmax(x), dtype="int64", rank=1)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, MATRIX.argmax(axis=1))
