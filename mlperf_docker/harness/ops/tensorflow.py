"""Operations as TensorFlow graph nodes. Images are channels-last: on a CPU there is no other convolution."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mlperf_docker.harness.api.ops import MASKED, LstmWeights

Array = NDArray[Any]
Value = Any
"""A tensor, a weight that nobody has used yet (an array), or a convolution that may still take in what follows it."""

LARGE = 1 << 20
"""Bytes from which on a weight is a variable of the session.

A constant is in the graph, of which TensorFlow makes some ten copies while it prepares a call, and which ends at 2 GB.
Small ones stay there: reading a variable takes a microsecond of every call.
"""
HELD = "weights"
"""The collection of a graph that has its variables."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A weight that is a variable."""

    values: Array
    """Values, laid out as they are read."""
    handle: Value
    """Handle of the variable."""
    tensor: Value
    """Tensor that reading gives."""

    def shows(self, values: Array) -> bool:
        """Whether *values* are the same memory in the same layout: levels of an image, for one, share their weights."""
        return self.values.__array_interface__ == values.__array_interface__


def _weight(values: Array) -> Value:
    """*values* in the default graph: a constant, or a variable of its collection HELD, which a session has to fill."""
    if values.nbytes < LARGE:
        return tf.constant(values)
    graph = tf.compat.v1.get_default_graph()
    there = graph.get_collection_ref(HELD)
    for held in there:
        if held.shows(values):
            return held.tensor
    name = f"weight_{len(there)}"
    handle = tf.raw_ops.VarHandleOp(dtype=values.dtype, shape=values.shape, shared_name=name, name=name)
    there.append(Held(values, handle, tf.raw_ops.ReadVariableOp(resource=handle, dtype=values.dtype)))
    return there[-1].tensor


@dataclass(slots=True, eq=False)
class Convolution:
    """A convolution that may not be in the graph yet.

    A normalisation after it goes into its weights, so that TensorFlow can fuse it with its bias and the ReLU; with
    groups that is five times as fast as the bare convolution.
    """

    x: Value
    weight: Array
    """(out, in / groups, kernel, kernel) weights; the bias is (out,)."""
    bias: Array | None
    stride: int
    padding: int
    made: Value = None
    """Node of the convolution; None until it is asked for."""

    def normalised(self, factor: Array, offset: Array) -> "Convolution":
        """The convolution whose result is multiplied by *factor* and shifted by *offset*, both (out,) float64."""
        bias = offset if self.bias is None else offset + self.bias * factor
        weight = self.weight.astype(np.float64) * factor[:, None, None, None]
        return Convolution(self.x, weight.astype(np.float32), bias.astype(np.float32), self.stride, self.padding)

    def node(self) -> Value:
        """The convolution in the graph, made once, however many take it."""
        if self.made is None:
            self.made = self._make()
        return self.made

    def _make(self) -> Value:
        pads = [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]]
        kernel = _weight(self.weight.transpose(2, 3, 1, 0))
        y = tf.nn.conv2d(self.x, kernel, strides=self.stride, padding=pads if self.padding else "VALID")
        return y if self.bias is None else tf.nn.bias_add(y, tf.constant(self.bias))


def _tensor(x: Value) -> Value:
    """*x* as a tensor of the graph."""
    if isinstance(x, Convolution):
        return x.node()
    return _weight(x) if isinstance(x, np.ndarray) else x


def _alike(x: Value, y: Value) -> bool:
    """Whether two tensors have the same shape, whatever the batch is."""
    if x.shape.rank is None or y.shape.rank is None:
        return False
    shape = x.shape.as_list()
    return bool(shape == y.shape.as_list()) and None not in shape[1:]


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """What TensorFlow's padding SAME puts before and after an axis of *size*."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _spatial_mean(x: Value) -> Value:
    for axis in (3, 2, 1):
        x = tf.reduce_mean(x, axis=axis, keepdims=True)
    return x


def _block_lstm(x: Value, weights: LstmWeights[Array], hidden: Value, cell: Value) -> tuple[Value, Value]:
    """Hidden and cell states (length, batch, hidden) after each step of x (length, batch, in)."""
    size = weights.from_hidden.shape[1]
    unused = tf.zeros((size,))
    found = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(x, tf.int64)[0],
        x=x,
        cs_prev=cell,
        h_prev=hidden,
        w=_weight(np.concatenate((weights.from_input, weights.from_hidden), axis=1).T),
        wci=unused,
        wcf=unused,
        wco=unused,
        b=tf.constant(weights.input_bias + weights.hidden_bias),
        cell_clip=0.0,
        use_peephole=False,
    )
    hidden, cell = (tf.ensure_shape(each, (None, None, size)) for each in (found.h, found.cs))
    return hidden, cell


class TensorFlowOps:
    """Adds nodes to the default graph, and what a session has to fill to its collection HELD."""

    def constant(self, name: str, value: Array) -> Array:  # noqa: ARG002
        """The array itself: the operation that takes it knows the layout that TensorFlow wants."""
        return value

    def image(self, x: Value) -> Value:
        """Transpose."""
        return tf.transpose(_tensor(x), (0, 2, 3, 1))

    def channels_last(self, x: Value) -> Value:
        """The image as it is."""
        return _tensor(x)

    def conv2d(
        self,
        x: Value,
        weight: Array,
        bias: Array | None = None,
        *,
        kernel: int,  # noqa: ARG002 (the weight's shape says it)
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,  # noqa: ARG002 (so do the weight's channels)
    ) -> Convolution:
        """`tf.nn.conv2d`, once it is known what follows."""
        return Convolution(_tensor(x), weight, bias, stride, padding)

    def batch_norm(
        self, x: Value, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float = 1e-5
    ) -> Value:
        """Into the convolution before it; after anything else, a product and a sum."""
        factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        offset = bias - mean * factor
        if isinstance(x, Convolution):
            return x.normalised(factor, offset)
        return _tensor(x) * tf.constant(factor.astype(np.float32)) + tf.constant(offset.astype(np.float32))

    def standardize(self, x: Value, mean: Array, deviation: Array) -> Value:
        """Difference and quotient; the channels are the last axis."""
        return (_tensor(x) - tf.constant(mean)) / tf.constant(deviation)

    def max_pool2d(self, x: Value, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> Value:
        """`tf.nn.max_pool2d`, where padding never wins. If SAME is what it comes to: that has a quicker kernel."""
        x = _tensor(x)
        top, left, bottom, right = padding
        if [_same(size, kernel, stride) for size in x.shape[1:3]] == [(top, bottom), (left, right)]:
            return tf.nn.max_pool2d(x, kernel, stride, "SAME")
        pads = [[0, 0], [top, bottom], [left, right], [0, 0]]
        return tf.nn.max_pool2d(x, kernel, stride, pads if any(padding) else "VALID")

    def global_avg_pool(self, x: Value) -> Value:
        """`tf.reduce_mean`."""
        return tf.reduce_mean(_tensor(x), axis=(1, 2))

    def upsample_nearest(self, x: Value, factor: int) -> Value:
        """ResizeNearestNeighbor, rounding down from the pixels' corners, which repeats each."""
        x = _tensor(x)
        size = [side * factor for side in x.shape[1:3]]
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, align_corners=False, half_pixel_centers=False)

    def volume(self, x: Value) -> Value:
        """Transpose."""
        return tf.transpose(_tensor(x), (0, 2, 3, 4, 1))

    def channels_first(self, x: Value) -> Value:
        """Transpose back."""
        return tf.transpose(_tensor(x), (0, 4, 1, 2, 3))

    def conv3d(
        self, x: Value, weight: Array, bias: Array | None = None, *, kernel: int, stride: int = 1, padding: int = 0
    ) -> Value:
        """`tf.nn.conv3d`, whose padding is SAME or VALID: what SAME does not come to is padded beforehand."""
        x = _tensor(x)
        pad = "VALID"
        if padding and all(_same(size, kernel, stride) == (padding, padding) for size in x.shape[1:4]):
            pad = "SAME"
        elif padding:
            x = tf.pad(x, [[0, 0], *[[padding] * 2] * 3, [0, 0]])
        filters = _weight(weight.transpose(2, 3, 4, 1, 0))
        y = tf.nn.conv3d(x, filters, strides=[1, *[stride] * 3, 1], padding=pad)
        return y if bias is None else tf.nn.bias_add(y, tf.constant(bias))

    def conv_transpose3d(self, x: Value, weight: Array, bias: Array, *, kernel: int) -> Value:
        """`tf.nn.conv3d_transpose`."""
        x = _tensor(x)
        filters = _weight(weight.transpose(2, 3, 4, 1, 0))
        shape = (tf.shape(x)[0], *(size * kernel for size in x.shape[1:4]), weight.shape[1])
        y = tf.nn.conv3d_transpose(x, filters, shape, strides=kernel, padding="VALID")
        return tf.nn.bias_add(y, tf.constant(bias))

    def instance_norm(self, x: Value, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Value:
        """Means of means, axis by axis: over all at once millions of values are added up one by one in float32.

        The logits of `tf.nn.moments` are off by up to 5e-2 of their spread, these by 3e-5, in a tenth less time.
        """
        x = _tensor(x)
        mean = _spatial_mean(x)
        variance = _spatial_mean(tf.math.squared_difference(x, mean))
        return tf.nn.batch_normalization(x, mean, variance, tf.constant(bias), tf.constant(scale), epsilon)

    def join(self, parts: list[Value]) -> Value:
        """`tf.concat` on the channels, the last axis."""
        return tf.concat([_tensor(part) for part in parts], -1)

    def relu(self, x: Value) -> Value:
        """`tf.nn.relu`."""
        return tf.nn.relu(_tensor(x))

    def sigmoid(self, x: Value) -> Value:
        """`tf.sigmoid`."""
        return tf.sigmoid(_tensor(x))

    def exp(self, x: Value) -> Value:
        """`tf.exp`."""
        return tf.exp(_tensor(x))

    def add(self, x: Value, y: Value) -> Value:
        """`tf.add_n` where nothing is broadcast: only that is fused with a convolution before it. Else `tf.add`."""
        x, y = _tensor(x), _tensor(y)
        return tf.add_n([x, y]) if _alike(x, y) else tf.add(x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """`tf.subtract`."""
        return tf.subtract(_tensor(x), _tensor(y))

    def mul(self, x: Value, y: Value) -> Value:
        """`tf.multiply`."""
        return tf.multiply(_tensor(x), _tensor(y))

    def clip(self, x: Value, low: float, high: float) -> Value:
        """`tf.clip_by_value`."""
        return tf.clip_by_value(_tensor(x), low, high)

    def linear(self, x: Value, weight: Array, bias: Array | None = None) -> Value:
        """`tf.matmul` with the weight transposed beforehand."""
        y = tf.matmul(_tensor(x), _weight(weight.T))
        return y if bias is None else tf.nn.bias_add(y, tf.constant(bias))

    def row_products(self, x: Value, y: Value) -> Value:
        """`tf.matmul` with the second one adjoint."""
        return tf.matmul(_tensor(x), _tensor(y), adjoint_b=True)

    def select(self, x: Value, places: Array) -> Value:
        """`tf.gather` along the last axis."""
        return tf.gather(_tensor(x), tf.constant(places), axis=-1)

    def to_float(self, x: Value) -> Value:
        """`tf.cast`."""
        return tf.cast(_tensor(x), tf.float32)

    def softmax(self, x: Value) -> Value:
        """`tf.nn.softmax`."""
        return tf.nn.softmax(_tensor(x))

    def argmax(self, x: Value) -> Value:
        """`tf.argmax`."""
        return tf.argmax(_tensor(x), axis=-1)

    def reduce_max(self, x: Value) -> Value:
        """`tf.reduce_max`."""
        return tf.reduce_max(_tensor(x), axis=-1)

    def top_k(self, x: Value, k: int) -> tuple[Value, Value]:
        """`tf.math.top_k`; of equals the one with the lower index comes first."""
        values, indices = tf.math.top_k(_tensor(x), k)
        return values, tf.cast(indices, tf.int64)

    def take(self, x: Value, indices: Value) -> Value:
        """`tf.gather` with one batch axis."""
        return tf.gather(_tensor(x), _tensor(indices), batch_dims=1)

    def floor_divide(self, x: Value, divisor: int) -> Value:
        """`tf.math.floordiv`."""
        return tf.math.floordiv(_tensor(x), tf.constant(divisor, tf.int64))

    def remainder(self, x: Value, divisor: int) -> Value:
        """`tf.math.floormod`."""
        return tf.math.floormod(_tensor(x), tf.constant(divisor, tf.int64))

    def reshape(self, x: Value, *shape: int) -> Value:
        """`tf.reshape`; the batch is asked for when the graph runs."""
        x = _tensor(x)
        return tf.reshape(x, (tf.shape(x)[0], *shape))

    def slice(self, x: Value, start: int, stop: int) -> Value:
        """A slice of the last axis."""
        return _tensor(x)[..., start:stop]

    def concat(self, parts: list[Value], axis: int) -> Value:
        """`tf.concat`."""
        return tf.concat([_tensor(part) for part in parts], axis)

    def embedding(self, table: Value, ids: Value) -> Value:
        """`tf.gather`."""
        return tf.gather(_tensor(table), _tensor(ids))

    def first_rows(self, table: Array, x: Value) -> Value:
        """A slice; the length is asked for when the graph runs."""
        return _weight(table)[: tf.shape(_tensor(x))[1]]

    def rows(self, x: Value) -> Value:
        """`tf.reshape`."""
        x = _tensor(x)
        return tf.reshape(x, (-1, x.shape[-1]))

    def sequences(self, x: Value, like: Value) -> Value:
        """`tf.reshape`."""
        x, shape = _tensor(x), tf.shape(_tensor(like))
        return tf.reshape(x, (shape[0], shape[1], x.shape[-1]))

    def swap(self, x: Value) -> Value:
        """`tf.transpose`."""
        return tf.transpose(_tensor(x), (1, 0, 2))

    def cut_off(self, x: Value, lengths: Value) -> Value:
        """Product with 1 and 0."""
        x = _tensor(x)
        kept = tf.range(tf.shape(x, tf.int64)[0])[:, None] < _tensor(lengths)
        return x * tf.cast(kept, x.dtype)[:, :, None]

    def stack_pairs(self, x: Value) -> Value:
        """`tf.pad` and `tf.reshape`; the sizes are asked for when the graph runs."""
        x = _tensor(x)
        shape, features = tf.shape(x), x.shape[2]
        whole = tf.pad(x, ((0, shape[0] % 2), (0, 0), (0, 0)))
        pairs = tf.transpose(tf.reshape(whole, (-1, 2, shape[1], features)), (0, 2, 1, 3))
        return tf.reshape(pairs, (-1, shape[1], 2 * features))

    def lstm(self, x: Value, weights: LstmWeights[Array]) -> Value:
        """`BlockLSTMV2`, the one kernel for whole sequences on both devices, whose gates are in PyTorch's order.

        It multiplies inputs and hidden states at once, which pays for many sequences: 180 GFLOPS on two cores for 64,
        13 for one.
        """
        x = _tensor(x)
        zeros = tf.zeros((tf.shape(x)[1], weights.from_hidden.shape[1]))
        return _block_lstm(x, weights, zeros, zeros)[0]

    def lstm_cell(self, x: Value, weights: LstmWeights[Array], hidden: Value, cell: Value) -> tuple[Value, Value]:
        """`BlockLSTMV2` for one step."""
        found = _block_lstm(_tensor(x)[None], weights, _tensor(hidden), _tensor(cell))
        return found[0][0], found[1][0]

    def layer_norm(self, x: Value, scale: Array, bias: Array, *, epsilon: float) -> Value:
        """Statistics by `tf.nn.moments`."""
        x = _tensor(x)
        mean, variance = tf.nn.moments(x, axes=(-1,), keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, tf.constant(bias), tf.constant(scale), epsilon)

    def gelu(self, x: Value) -> Value:
        """`tf.nn.gelu`, which TensorFlow fuses with a matrix product and its bias before it."""
        return tf.nn.gelu(_tensor(x))

    def gelu_tanh(self, x: Value) -> Value:
        """`tf.nn.gelu`, approximated."""
        return tf.nn.gelu(_tensor(x), approximate=True)

    def key_bias(self, mask: Value) -> Value:
        """(1 - mask) · MASKED."""
        return ((1.0 - tf.cast(_tensor(mask), tf.float32)) * MASKED)[:, None, None, :]

    def attention(self, query: Value, key: Value, value: Value, bias: Value, *, heads: int, size: int) -> Value:
        """Products and softmax: TensorFlow has nothing for the whole."""
        shape = tf.shape(bias)
        split = (shape[0], shape[3], heads, size)
        q, k, v = (tf.transpose(tf.reshape(_tensor(x), split), (0, 2, 1, 3)) for x in (query, key, value))
        shares = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * (1 / math.sqrt(size)) + bias)
        return tf.reshape(tf.transpose(tf.matmul(shares, v), (0, 2, 1, 3)), (-1, heads * size))
