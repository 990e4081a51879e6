"""Operations on all backends, through a network each, against numpy."""

import importlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.harness.api.backend import Backend, LoadRequest
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.ops import LstmWeights
from mlperf_docker.harness.backends import registry
from tests.harness.installed import BACKENDS

Array = NDArray[Any]
RNG = np.random.default_rng(7)
IMAGE = RNG.standard_normal((2, 4, 9, 7), dtype=np.float32)
VOLUME = RNG.standard_normal((2, 3, 6, 5, 7), dtype=np.float32)
VECTORS = [np.abs(RNG.standard_normal(4, dtype=np.float32)) + 0.1 for _ in range(4)]
MATRIX = RNG.standard_normal((2, 5), dtype=np.float32)
ROWS = RNG.standard_normal((2, 6, 3), dtype=np.float32)
WHOLE = np.array([[0, 7, 263], [264, 265, 31_702_967]], dtype=np.int64)


@cache
def backend(name: str) -> Backend:
    return registry.load(name)


@pytest.fixture(params=[*BACKENDS, "tensorflow with variables"])
def framework(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
    name, _, variables = request.param.partition(" ")
    found = backend(name)
    if variables:
        importlib.import_module("mlperf_docker.harness.ops.tensorflow")
        monkeypatch.setattr("mlperf_docker.harness.ops.tensorflow.LARGE", 0)
    return found


def evaluate(
    framework: Backend, inputs: tuple[Array, ...], build: Callable[..., Any], *weights: Array, outputs: int = 1
) -> list[Array]:
    """What *build*, called with the operations, the inputs and the weights, gives for two samples."""
    names = [f"w{number}" for number in range(len(weights))]

    def whole(ops: Any, w: Any, values: tuple[Any, ...]) -> tuple[Any, ...]:
        constants = [w(name, *array.shape) for name, array in zip(names, weights, strict=True)]
        found = build(ops, *values, *constants)
        return found if isinstance(found, tuple) else (found,)

    ins = tuple(Tensor(f"x{n}", str(x.dtype), (None, *x.shape[1:])) for n, x in enumerate(inputs))
    outs = tuple(Tensor(f"y{number}", dtype, shape) for number, (dtype, shape) in enumerate(shapes(outputs)))
    network = Network("test", Interface(ins, outs), dict(zip(names, weights, strict=True)), whole)
    predictor = framework.load(LoadRequest(network, network.interface, Device.CPU, 1))
    return [np.array(array) for array in predictor.predict(inputs)]


TYPES: list[tuple[str, tuple[int | None, ...]]] = []


def shapes(count: int) -> list[tuple[str, tuple[int | None, ...]]]:
    assert len(TYPES) == count, "say what comes out with `gives` first"
    return TYPES


def gives(*tensors: tuple[str, int]) -> None:
    """Declare type and rank of the outputs."""
    TYPES[:] = [(dtype, (None,) * rank) for dtype, rank in tensors]


def windows(x: Array, size: int, stride: int) -> Array:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return np.asarray(view[:, :, ::stride, ::stride])


def close(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)])
def test_conv2d(framework: Backend, kernel: int, stride: int, padding: int, groups: int, bias: bool) -> None:
    weight = RNG.standard_normal((8, 4 // groups, kernel, kernel), dtype=np.float32)
    offset = RNG.standard_normal(8, dtype=np.float32)
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    parts = zip(np.split(windows(padded, kernel, stride), groups, 1), np.split(weight, groups), strict=True)
    expected = np.concatenate([np.einsum("nchwij,ocij->nohw", x, w) for x, w in parts], 1)
    gives(("float32", 4))
    options = {"kernel": kernel, "stride": stride, "padding": padding, "groups": groups}
    (found,) = evaluate(
        framework,
        (IMAGE,),
        lambda ops, x, w, b: ops.channels_last(ops.conv2d(ops.image(x), w, b if bias else None, **options)),
        weight,
        offset,
    )
    close(found, (expected + (offset[:, None, None] if bias else 0)).transpose(0, 2, 3, 1))


def test_batch_norm(framework: Backend) -> None:
    scale, bias, mean, variance = (v[:, None, None] for v in VECTORS)
    expected = (IMAGE - mean) / np.sqrt(variance + 1e-5) * scale + bias
    gives(("float32", 4))
    (found,) = evaluate(
        framework, (IMAGE,), lambda ops, x, *w: ops.channels_last(ops.batch_norm(ops.image(x), *w)), *VECTORS
    )
    close(found, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("groups", [1, 4])
def test_batch_norm_after_a_convolution_and_before_relu(framework: Backend, groups: int) -> None:
    weight = RNG.standard_normal((4, 4 // groups, 3, 3), dtype=np.float32)
    scale, bias, mean, variance = (v[:, None, None] for v in VECTORS)
    padded = np.pad(IMAGE, ((0, 0), (0, 0), (1, 1), (1, 1)))
    parts = zip(np.split(windows(padded, 3, 2), groups, 1), np.split(weight, groups), strict=True)
    convolved = np.concatenate([np.einsum("nchwij,ocij->nohw", x, w) for x, w in parts], 1)
    expected = np.maximum((convolved - mean) / np.sqrt(variance + 1e-5) * scale + bias, 0)
    gives(("float32", 4))

    def build(ops: Any, x: Any, kernel: Any, *norm: Any) -> Any:
        y = ops.conv2d(ops.image(x), kernel, kernel=3, stride=2, padding=1, groups=groups)
        return ops.channels_last(ops.relu(ops.batch_norm(y, *norm)))

    (found,) = evaluate(framework, (IMAGE,), build, weight, *VECTORS)
    close(found, expected.transpose(0, 2, 3, 1))


def test_standardize(framework: Backend) -> None:
    mean, deviation = VECTORS[:2]
    gives(("float32", 4))
    (found,) = evaluate(
        framework, (IMAGE,), lambda ops, x, *w: ops.channels_last(ops.standardize(ops.image(x), *w)), mean, deviation
    )
    close(found, ((IMAGE - mean[:, None, None]) / deviation[:, None, None]).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("padding", [(0, 0, 1, 1), (1, 1, 1, 1), (1, 0, 0, 0), (0, 0, 0, 0)])
def test_max_pool2d_pads_each_side_by_itself_and_padding_never_wins(
    framework: Backend, padding: tuple[int, int, int, int]
) -> None:
    top, left, bottom, right = padding
    negative = -np.abs(IMAGE)
    padded = np.pad(negative, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
    expected = windows(padded, 3, 2).max(axis=(4, 5))
    gives(("float32", 4))
    (found,) = evaluate(
        framework,
        (negative,),
        lambda ops, x: ops.channels_last(ops.max_pool2d(ops.image(x), kernel=3, stride=2, padding=padding)),
    )
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 3, 1))


def test_global_avg_pool(framework: Backend) -> None:
    gives(("float32", 2))
    (found,) = evaluate(framework, (IMAGE,), lambda ops, x: ops.global_avg_pool(ops.image(x)))
    close(found, IMAGE.mean(axis=(2, 3)))


@pytest.mark.parametrize("factor", [2, 3])
def test_upsample_nearest(framework: Backend, factor: int) -> None:
    gives(("float32", 4))
    (found,) = evaluate(
        framework, (IMAGE,), lambda ops, x: ops.channels_last(ops.upsample_nearest(ops.image(x), factor))
    )
    np.testing.assert_array_equal(found, IMAGE.repeat(factor, 2).repeat(factor, 3).transpose(0, 2, 3, 1))


def test_images_are_added_like_images(framework: Backend) -> None:
    gives(("float32", 4))
    (found,) = evaluate(
        framework, (IMAGE, IMAGE), lambda ops, x, y: ops.channels_last(ops.add(ops.image(x), ops.relu(ops.image(y))))
    )
    np.testing.assert_array_equal(found, (IMAGE + np.maximum(IMAGE, 0)).transpose(0, 2, 3, 1))


def blocks(x: Array, size: int, stride: int) -> Array:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size, size), axis=(2, 3, 4))
    return np.asarray(view[:, :, ::stride, ::stride, ::stride])


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (3, 1, 0), (2, 2, 0)])
def test_conv3d(framework: Backend, kernel: int, stride: int, padding: int, bias: bool) -> None:
    weight = RNG.standard_normal((5, 3, kernel, kernel, kernel), dtype=np.float32)
    offset = RNG.standard_normal(5, dtype=np.float32)
    padded = np.pad(VOLUME, ((0, 0), (0, 0), *[(padding, padding)] * 3))
    expected = np.einsum("ncdhwijk,ocijk->nodhw", blocks(padded, kernel, stride), weight)
    gives(("float32", 5))
    options = {"kernel": kernel, "stride": stride, "padding": padding}
    (found,) = evaluate(
        framework,
        (VOLUME,),
        lambda ops, x, w, b: ops.channels_first(ops.conv3d(ops.volume(x), w, b if bias else None, **options)),
        weight,
        offset,
    )
    close(found, expected + (offset[:, None, None, None] if bias else 0))


@pytest.mark.parametrize("kernel", [2, 3])
def test_conv_transpose3d(framework: Backend, kernel: int) -> None:
    weight = RNG.standard_normal((3, 5, kernel, kernel, kernel), dtype=np.float32)
    offset = RNG.standard_normal(5, dtype=np.float32)
    parts = np.einsum("ncdhw,coijk->nodihjwk", VOLUME, weight)
    expected = parts.reshape(2, 5, *(length * kernel for length in VOLUME.shape[2:])) + offset[:, None, None, None]
    gives(("float32", 5))
    (found,) = evaluate(
        framework,
        (VOLUME,),
        lambda ops, x, w, b: ops.channels_first(ops.conv_transpose3d(ops.volume(x), w, b, kernel=kernel)),
        weight,
        offset,
    )
    close(found, expected)


def test_instance_norm_goes_by_each_volume_itself(framework: Backend) -> None:
    scale, bias = VECTORS[0][:3], VECTORS[1][:3]
    uneven = VOLUME * np.array([1, 100], dtype=np.float32)[:, None, None, None, None] + 7
    mean, variance = (f(uneven, axis=(2, 3, 4), keepdims=True) for f in (np.mean, np.var))
    normal = (uneven - mean) / np.sqrt(variance + 1e-5)
    expected = np.maximum(normal * scale[:, None, None, None] + bias[:, None, None, None], 0)
    gives(("float32", 5))

    def build(ops: Any, x: Any, *w: Any) -> Any:
        return ops.channels_first(ops.relu(ops.instance_norm(ops.volume(x), *w)))

    (found,) = evaluate(framework, (uneven,), build, scale, bias)
    close(found, expected)


def test_volumes_are_joined_by_their_channels(framework: Backend) -> None:
    gives(("float32", 5))

    def build(ops: Any, x: Any, y: Any) -> Any:
        return ops.channels_first(ops.join([ops.volume(x), ops.relu(ops.volume(y))]))

    (found,) = evaluate(framework, (VOLUME, VOLUME[:, :2].copy()), build)
    np.testing.assert_array_equal(found, np.concatenate([VOLUME, np.maximum(VOLUME[:, :2], 0)], axis=1))


def test_arithmetic_is_broadcast_as_in_numpy(framework: Backend) -> None:
    row = RNG.standard_normal((1, 6, 3), dtype=np.float32)
    gives(("float32", 3), ("float32", 3), ("float32", 3))
    added, less, product = evaluate(
        framework, (ROWS,), lambda ops, x, w: (ops.add(x, w), ops.sub(x, w), ops.mul(x, w)), row, outputs=3
    )
    np.testing.assert_array_equal(added, ROWS + row)
    np.testing.assert_array_equal(less, ROWS - row)
    np.testing.assert_array_equal(product, ROWS * row)


def test_functions_of_each_value(framework: Backend) -> None:
    large = ROWS * 40
    gives(("float32", 3), ("float32", 3), ("float32", 3))
    relu, sigmoid, exp = evaluate(
        framework, (large,), lambda ops, x: (ops.relu(x), ops.sigmoid(x), ops.exp(ops.clip(x, -3, 3))), outputs=3
    )
    np.testing.assert_array_equal(relu, np.maximum(large, 0))
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-large.astype(np.float64))), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(exp, np.exp(np.clip(large, -3, 3)), rtol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.25), (float("-inf"), 0.1), (0.0, float("inf"))])
def test_clip(framework: Backend, low: float, high: float) -> None:
    gives(("float32", 3))
    (found,) = evaluate(framework, (ROWS,), lambda ops, x: ops.clip(x, low, high))
    np.testing.assert_array_equal(found, np.clip(ROWS, np.float32(low), np.float32(high)))


def test_linear(framework: Backend) -> None:
    weight, bias = RNG.standard_normal((6, 5), dtype=np.float32), RNG.standard_normal(6, dtype=np.float32)
    gives(("float32", 2))
    (found,) = evaluate(framework, (MATRIX,), lambda ops, x, w, b: ops.linear(x, w, b), weight, bias)
    close(found, MATRIX @ weight.T + bias)


def test_products_of_rows(framework: Backend) -> None:
    other = RNG.standard_normal((2, 4, 3), dtype=np.float32)
    gives(("float32", 3))
    (found,) = evaluate(framework, (ROWS, other), lambda ops, x, y: ops.row_products(x, y))
    close(found, np.einsum("bmk,bnk->bmn", ROWS, other))


def test_select_and_embedding(framework: Backend) -> None:
    places = np.array([4, 0, 0, 3], dtype=np.int64)
    ids = np.array([[5, 0, 0], [2, 4, 1]], dtype=np.int64)
    gives(("float32", 2), ("float32", 3))
    build = lambda ops, x, i, w: (ops.select(x, places), ops.embedding(w, i))  # noqa: E731
    values, rows = evaluate(framework, (MATRIX, ids), build, ROWS[1], outputs=2)
    np.testing.assert_array_equal(values, MATRIX[:, places])
    np.testing.assert_array_equal(rows, ROWS[1][ids])


def test_to_float(framework: Backend) -> None:
    gives(("float32", 2))
    (found,) = evaluate(framework, (MATRIX.astype(np.float16),), lambda ops, x: ops.to_float(x))
    np.testing.assert_array_equal(found, MATRIX.astype(np.float16).astype(np.float32))


def test_softmax_and_argmax(framework: Backend) -> None:
    matrix = np.concatenate([MATRIX, MATRIX.max(axis=1, keepdims=True)], axis=1)
    powers = np.exp(matrix)
    gives(("float32", 2), ("int64", 1))
    softmax, argmax = evaluate(framework, (matrix,), lambda ops, x: (ops.softmax(x), ops.argmax(x)), outputs=2)
    np.testing.assert_allclose(softmax, powers / powers.sum(1, keepdims=True), rtol=1e-5)
    assert argmax.dtype == np.int64
    np.testing.assert_array_equal(argmax, matrix.argmax(axis=1))


def test_reduce_max(framework: Backend) -> None:
    gives(("float32", 2))
    (found,) = evaluate(framework, (ROWS,), lambda ops, x: ops.reduce_max(x))
    np.testing.assert_array_equal(found, ROWS.max(axis=-1))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k(framework: Backend, k: int) -> None:
    gives(("float32", 2), ("int64", 2))
    values, indices = evaluate(framework, (MATRIX,), lambda ops, x: ops.top_k(x, k), outputs=2)
    order = np.argsort(-MATRIX, axis=-1)[:, :k]
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(MATRIX, order, -1))


def test_take_picks_rows_of_each_sample(framework: Backend) -> None:
    indices = np.array([[5, 0, 0], [2, 4, 1]], dtype=np.int64)
    gives(("float32", 3), ("float32", 2))
    rows, values = evaluate(
        framework,
        (ROWS, MATRIX, indices),
        lambda ops, x, y, i: (ops.take(x, i), ops.take(y, ops.remainder(i, 5))),
        outputs=2,
    )
    np.testing.assert_array_equal(rows, np.take_along_axis(ROWS, indices[:, :, None], 1))
    np.testing.assert_array_equal(values, np.take_along_axis(MATRIX, indices % 5, 1))


def test_whole_numbers_are_divided(framework: Backend) -> None:
    gives(("int64", 2), ("int64", 2))
    quotient, rest = evaluate(
        framework, (WHOLE,), lambda ops, x: (ops.floor_divide(x, 264), ops.remainder(x, 264)), outputs=2
    )
    assert {quotient.dtype, rest.dtype} == {np.dtype(np.int64)}
    np.testing.assert_array_equal(quotient, WHOLE // 264)
    np.testing.assert_array_equal(rest, WHOLE % 264)


def test_shapes(framework: Backend) -> None:
    gives(("float32", 2), ("float32", 4), ("float32", 3), ("float32", 3), ("float32", 3))

    def build(ops: Any, x: Any) -> Any:
        flat, boxes = ops.reshape(x, -1), ops.reshape(x, 3, 2, 3)
        part = ops.slice(x, 1, 3)
        return flat, boxes, part, ops.concat([x, part], 2), ops.concat([x, x], 1)

    flat, boxes, part, wide, long = evaluate(framework, (ROWS,), build, outputs=5)
    np.testing.assert_array_equal(flat, ROWS.reshape(2, -1))
    np.testing.assert_array_equal(boxes, ROWS.reshape(2, 3, 2, 3))
    np.testing.assert_array_equal(part, ROWS[:, :, 1:3])
    np.testing.assert_array_equal(wide, np.concatenate([ROWS, ROWS[:, :, 1:3]], 2))
    np.testing.assert_array_equal(long, np.concatenate([ROWS, ROWS], 1))


def test_a_batch_of_another_size_follows(framework: Backend) -> None:
    weight = RNG.standard_normal((4, 4, 3, 3), dtype=np.float32)

    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        y = ops.conv2d(ops.image(inputs[0]), w("w", *weight.shape), kernel=3, padding=1)
        return (ops.reshape(ops.channels_last(y), 63, 4),)

    interface = Interface((Tensor("x", "float32", (None, 4, 9, 7)),), (Tensor("y", "float32", (None, 63, 4)),))
    network = Network("test", interface, {"w": weight}, build)
    predictor = framework.load(LoadRequest(network, interface, Device.CPU, 1))
    together = predictor.predict((np.concatenate([IMAGE, IMAGE[::-1], IMAGE[:1]]),))[0].copy()
    alone = [predictor.predict((each[None],))[0][0].copy() for each in IMAGE]
    close(together, np.stack([alone[0], alone[1], alone[1], alone[0], alone[0]]))


TOKENS = RNG.integers(0, 6, (2, 5))
TABLE = RNG.standard_normal((6, 3), dtype=np.float32)


def test_embedding_first_rows_and_sequences(framework: Backend) -> None:
    gives(("float32", 3), ("float32", 2), ("float32", 2), ("float32", 3))

    def build(ops: Any, ids: Any, table: Any) -> Any:
        found = ops.embedding(table, ids)
        rows = ops.rows(found)
        return found, ops.first_rows(table, ids), rows, ops.sequences(rows, ids)

    found, first, rows, again = evaluate(framework, (TOKENS,), build, TABLE, outputs=4)
    np.testing.assert_array_equal(found, TABLE[TOKENS])
    np.testing.assert_array_equal(first, TABLE[:5])
    np.testing.assert_array_equal(rows, TABLE[TOKENS].reshape(10, 3))
    np.testing.assert_array_equal(again, TABLE[TOKENS])


@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_layer_norm(framework: Backend, epsilon: float) -> None:
    x = (ROWS * 30 + 7).astype(np.float32)
    scale, bias = VECTORS[0][:3], VECTORS[1][:3]
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + epsilon) * scale + bias
    gives(("float32", 3))
    (found,) = evaluate(framework, (x,), lambda ops, x, *w: ops.layer_norm(x, *w, epsilon=epsilon), scale, bias)
    close(found, expected)


def test_gelu_is_exact_or_approximated(framework: Backend) -> None:
    x = np.linspace(-6, 6, 1001, dtype=np.float32)[None]
    wide = x.astype(np.float64)
    exact = wide / 2 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
    near = wide / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    assert np.abs(exact - near).max() > 4e-4
    gives(("float32", 2), ("float32", 2))
    erf, tanh = evaluate(framework, (x,), lambda ops, x: (ops.gelu(x), ops.gelu_tanh(x)), outputs=2)
    np.testing.assert_allclose(erf, exact, atol=2e-6)
    np.testing.assert_allclose(tanh, near, atol=2e-6)


@pytest.mark.parametrize(("heads", "size"), [(1, 5), (3, 4)])
def test_attention_of_several_heads_leaves_padding_out(framework: Backend, heads: int, size: int) -> None:
    """Three samples of length 7: one whole, one padded, one that is padding throughout."""
    query, key, value = RNG.standard_normal((3, 3, 7, heads * size), dtype=np.float32) * 3
    mask = np.ones((3, 7), dtype=np.int64)
    mask[1, 4:], mask[2] = 0, 0
    expected = np.zeros_like(query)
    for sample, head in np.ndindex(2, heads):
        part, kept = slice(head * size, head * size + size), mask[sample].astype(bool)
        powers = np.exp(query[sample, :, part] @ key[sample, kept, part].T / math.sqrt(size))
        expected[sample, :, part] = powers / powers.sum(1, keepdims=True) @ value[sample, kept, part]
    gives(("float32", 2))

    def build(ops: Any, *inputs: Any) -> Any:
        q, k, v = (ops.rows(x) for x in inputs[:3])
        return ops.attention(q, k, v, ops.key_bias(inputs[3]), heads=heads, size=size)

    (found,) = evaluate(framework, (query, key, value, mask), build)
    assert found.shape == (21, heads * size)
    close(found.reshape(query.shape)[:2], expected[:2])
    assert np.isfinite(found).all()


def test_sequences_of_another_length_follow(framework: Backend) -> None:
    def build(ops: Any, w: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, mask = inputs
        table = w("table", *TABLE.shape)
        x = ops.rows(ops.add(ops.embedding(table, ids), ops.first_rows(table, ids)))
        y = ops.attention(x, x, x, ops.key_bias(mask), heads=1, size=3)
        return (ops.sequences(ops.gelu(ops.add(x, y)), ids),)

    ids, mask = (Tensor(name, "int64", (None, None)) for name in ("ids", "mask"))
    interface = Interface((ids, mask), (Tensor("y", "float32", (None, None, 3)),))
    network = Network("test", interface, {"table": TABLE}, build)
    predict = framework.load(LoadRequest(network, interface, Device.CPU, 1)).predict
    together = predict((TOKENS, np.ones_like(TOKENS)))[0].copy()
    for length in (5, 1, 3):
        kept = np.ones_like(TOKENS)
        kept[:, length:] = 0
        part = predict((np.ascontiguousarray(TOKENS[:1, :length]), kept[:1, :length].copy()))[0]
        assert part.shape == (1, length, 3)
        close(part, predict((TOKENS, kept))[0][:1, :length])
    assert together.shape == (2, 5, 3)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def lstm(x: Array, weights: list[Array], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
    """Step by step in float64, as PyTorch's documentation says it."""
    steps = []
    for step in x.astype(np.float64):
        gates = step @ weights[0].T + weights[2] + hidden @ weights[1].T + weights[3]
        first, forget, new, last = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(first) * np.tanh(new)
        hidden = sigmoid(last) * np.tanh(cell)
        steps.append(hidden)
    return np.stack(steps), hidden, cell


def lstm_weights() -> list[Array]:
    return [RNG.standard_normal(shape, dtype=np.float32) for shape in ((20, 3), (20, 5), (20,), (20,))]


@pytest.mark.parametrize("length", [1, 6])
def test_lstm(framework: Backend, length: int) -> None:
    x, weights = RNG.standard_normal((2, length, 3), dtype=np.float32), lstm_weights()
    gives(("float32", 3))
    build = lambda ops, x, *w: ops.swap(ops.lstm(ops.swap(x), LstmWeights(*w)))  # noqa: E731
    (found,) = evaluate(framework, (x,), build, *weights)
    zeros = np.zeros((2, 5), dtype=np.float32)
    close(found, lstm(x.transpose(1, 0, 2), weights, zeros, zeros)[0].transpose(1, 0, 2))


def test_lstm_cell(framework: Backend) -> None:
    weights, x, hidden, cell = lstm_weights(), *(RNG.standard_normal((2, n), dtype=np.float32) for n in (3, 5, 5))
    gives(("float32", 2), ("float32", 2))
    build = lambda ops, x, hidden, cell, *w: ops.lstm_cell(x, LstmWeights(*w), hidden, cell)  # noqa: E731
    found = evaluate(framework, (x, hidden, cell), build, *weights, outputs=2)
    _, *after = lstm(x[None], weights, hidden, cell)
    close(found[0], after[0])
    close(found[1], after[1])


def test_cut_off_steps(framework: Backend) -> None:
    lengths = np.array([4, 6], dtype=np.int64)
    gives(("float32", 3))
    build = lambda ops, x, lengths: ops.swap(ops.cut_off(ops.swap(x), lengths))  # noqa: E731
    (found,) = evaluate(framework, (ROWS, lengths), build)
    expected = ROWS.copy()
    expected[0, 4:] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("length", [6, 5, 1])
def test_stacked_pairs(framework: Backend, length: int) -> None:
    gives(("float32", 3))
    rows = ROWS[:, :length]
    (found,) = evaluate(framework, (rows,), lambda ops, x: ops.swap(ops.stack_pairs(ops.swap(x))))
    padded = np.pad(rows, ((0, 0), (0, length % 2), (0, 0)))
    np.testing.assert_array_equal(found, padded.reshape(2, -1, 6))


def test_linear_without_bias(framework: Backend) -> None:
    weight = RNG.standard_normal((4, 5), dtype=np.float32)
    gives(("float32", 2))
    (found,) = evaluate(framework, (MATRIX,), lambda ops, x, w: ops.linear(x, w), weight)
    close(found, MATRIX @ weight.T)
