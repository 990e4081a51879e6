"""Operations as a protocol: what `architectures/` may call, and what each module of `ops` implements."""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")

MASKED = -10000.0
"""Added to the score of a key that is padding: beside any other key its probability becomes exactly 0."""


@dataclass(frozen=True, slots=True)
class LstmWeights(Generic[T]):
    """Weights of one LSTM layer, in PyTorch's layout: rows are the gates input, forget, cell and output."""

    from_input: T
    """(4 · hidden, in)."""
    from_hidden: T
    """(4 · hidden, hidden)."""
    input_bias: T
    """(4 · hidden,); both biases are added."""
    hidden_bias: T
    """(4 · hidden,); both biases are added."""


class Ops(Protocol[T]):
    """Operations on tensors of a backend's type T.

    An *image* is a tensor that `image` gave, or what an operation on images made of it: (batch, channels, height,
    width) in these descriptions, in memory as the backend likes it. A *volume*, which `volume` gives, is the same with
    one axis more: (batch, channels, depth, height, width). All others are plain tensors, axes as written.
    Weights have PyTorch's layouts. A padding of four numbers is (top, left, bottom, right). Sizes other than the batch
    are known when a network is built. docs/operations.md says how each backend does it.

    *Sequences* are plain tensors (batch, length, …) whose length may have any size too. As *rows* they are what matrix
    products like best: (batch · length, features), one sample's tokens after the other's. *Steps* are sequences with
    time in front, (length, batch, …), which recurrent layers like best.
    """

    def constant(self, name: str, value: NDArray[Any]) -> T:
        """A weight, or a table that the network needs."""
        ...

    def image(self, x: T) -> T:
        """An image out of an input (batch, channels, height, width)."""
        ...

    def channels_last(self, x: T) -> T:
        """The plain tensor (batch, height, width, channels) of an image."""
        ...

    def conv2d(
        self,
        x: T,
        weight: T,
        bias: T | None = None,
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> T:
        """Convolution of an image. weight: (out, in / groups, kernel, kernel); bias: (out,); padding on all sides."""
        ...

    def batch_norm(self, x: T, scale: T, bias: T, mean: T, variance: T, *, epsilon: float = 1e-5) -> T:
        """Normalise each channel of an image with given statistics; each of the four is (channels,)."""
        ...

    def standardize(self, x: T, mean: T, deviation: T) -> T:
        """(x - mean) / deviation for each channel of an image; both are (channels,)."""
        ...

    def max_pool2d(self, x: T, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> T:
        """Largest value of each window of an image; padding never wins."""
        ...

    def global_avg_pool(self, x: T) -> T:
        """Mean of an image over height and width: (batch, channels)."""
        ...

    def upsample_nearest(self, x: T, factor: int) -> T:
        """An image with each pixel repeated *factor* times in height and width."""
        ...

    def volume(self, x: T) -> T:
        """A volume out of an input (batch, channels, depth, height, width)."""
        ...

    def channels_first(self, x: T) -> T:
        """The plain tensor (batch, channels, depth, height, width) of a volume."""
        ...

    def conv3d(self, x: T, weight: T, bias: T | None = None, *, kernel: int, stride: int = 1, padding: int = 0) -> T:
        """Convolution of a volume. weight: (out, in, kernel, kernel, kernel); bias: (out,); padding on all sides."""
        ...

    def conv_transpose3d(self, x: T, weight: T, bias: T, *, kernel: int) -> T:
        """Each voxel of a volume as a block of kernel³; the stride is the kernel, so that blocks do not overlap.

        weight: (in, out, kernel, kernel, kernel); bias: (out,).
        """
        ...

    def instance_norm(self, x: T, scale: T, bias: T, *, epsilon: float = 1e-5) -> T:
        """Normalise each channel of each volume with its own mean and variance; scale, bias: (channels,)."""
        ...

    def join(self, parts: list[T]) -> T:
        """Volumes of the same size, the channels of one after those of another."""
        ...

    def relu(self, x: T) -> T:
        """Negative values become 0."""
        ...

    def sigmoid(self, x: T) -> T:
        """1 / (1 + exp(-x))."""
        ...

    def exp(self, x: T) -> T:
        """E to the power of each value."""
        ...

    def add(self, x: T, y: T) -> T:
        """Element-wise sum; plain tensors are broadcast as numpy does."""
        ...

    def sub(self, x: T, y: T) -> T:
        """Element-wise difference, broadcast likewise."""
        ...

    def mul(self, x: T, y: T) -> T:
        """Element-wise product, broadcast likewise."""
        ...

    def clip(self, x: T, low: float, high: float) -> T:
        """Values below *low* become *low*, above *high* become *high*; infinite bounds are allowed."""
        ...

    def linear(self, x: T, weight: T, bias: T | None = None) -> T:
        """X · weightᵀ + bias. x: (batch, in), weight: (out, in), bias: (out,)."""
        ...

    def row_products(self, x: T, y: T) -> T:
        """Scalar products of the rows of each sample: x (batch, m, k), y (batch, n, k), gives (batch, m, n)."""
        ...

    def select(self, x: T, places: NDArray[Any]) -> T:
        """The values at these *places* (int64) of the last axis, in this order."""
        ...

    def to_float(self, x: T) -> T:
        """The same values as float32."""
        ...

    def softmax(self, x: T) -> T:
        """Probabilities over the last axis."""
        ...

    def argmax(self, x: T) -> T:
        """Index of the largest value on the last axis, int64, which is removed; the first one of equals."""
        ...

    def reduce_max(self, x: T) -> T:
        """Largest value on the last axis, which is removed."""
        ...

    def top_k(self, x: T, k: int) -> tuple[T, T]:
        """The *k* largest values on the last axis, descending, and their indices (int64). Order of equals: any."""
        ...

    def take(self, x: T, indices: T) -> T:
        """Rows of each sample: x (batch, rows, …), indices (batch, k) int64, gives (batch, k, …)."""
        ...

    def floor_divide(self, x: T, divisor: int) -> T:
        """X // divisor of non-negative int64 values."""
        ...

    def remainder(self, x: T, divisor: int) -> T:
        """X % divisor of non-negative int64 values."""
        ...

    def reshape(self, x: T, *shape: int) -> T:
        """A plain tensor in another shape, the batch in front: (batch, *shape); one of *shape* may be -1."""
        ...

    def slice(self, x: T, start: int, stop: int) -> T:
        """The part of the last axis from *start* to before *stop*."""
        ...

    def concat(self, parts: list[T], axis: int) -> T:
        """Plain tensors one after the other along *axis*."""
        ...

    def embedding(self, table: T, ids: T) -> T:
        """Rows of a table (rows, features) by int64 ids of any shape: (*shape, features)."""
        ...

    def first_rows(self, table: T, x: T) -> T:
        """The first rows of a table, as many as the sequences *x* are long: (length, features)."""
        ...

    def rows(self, x: T) -> T:
        """Sequences (batch, length, features) as rows (batch · length, features)."""
        ...

    def sequences(self, x: T, like: T) -> T:
        """Rows (batch · length, features) as sequences again: as many and as long as *like* (batch, length, …)."""
        ...

    def swap(self, x: T) -> T:
        """Sequences as steps, or steps as sequences: the first two axes change places; x has three."""
        ...

    def cut_off(self, x: T, lengths: T) -> T:
        """Steps (length, batch, features) whose values are 0 from each one's length, (batch,) int64, on."""
        ...

    def stack_pairs(self, x: T) -> T:
        """Two steps as one, side by side: (length, batch, features) to (length / 2, batch, 2 · features).

        An odd length gets a step of zeros behind.
        """
        ...

    def lstm(self, x: T, weights: LstmWeights[T]) -> T:
        """One layer over steps (length, batch, in), from a state of zeros: (length, batch, hidden)."""
        ...

    def lstm_cell(self, x: T, weights: LstmWeights[T], hidden: T, cell: T) -> tuple[T, T]:
        """One step of a layer: its state after x (batch, in), hidden and cell (batch, hidden); hidden is the output."""
        ...

    def layer_norm(self, x: T, scale: T, bias: T, *, epsilon: float) -> T:
        """(x - mean) / √(variance + epsilon) · scale + bias over the last axis; both are of its length."""
        ...

    def gelu(self, x: T) -> T:
        """X / 2 · (1 + erf(x / √2))."""
        ...

    def gelu_tanh(self, x: T) -> T:
        """X / 2 · (1 + tanh(√(2 / π) · (x + 0.044715 · x³))), which differs from `gelu` by up to 0.0005."""
        ...

    def key_bias(self, mask: T) -> T:
        """What attention adds to the scores of keys: 0 where *mask*, (batch, length) int64, is 1; MASKED where it is 0.

        Float32 (batch, 1, 1, length).
        """
        ...

    def attention(self, query: T, key: T, value: T, bias: T, *, heads: int, size: int) -> T:
        """Softmax(query · keyᵀ / √size + bias) · value in each of the heads, for each sample by itself.

        query, key, value and result: rows (batch · length, heads · size). bias: from `key_bias`; a sample that is
        padding throughout gives finite numbers too.
        """
        ...
