"""The operations as a protocol: what `architectures/` may call, and what each of ops/*.py provides."""

from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

T = TypeVar("T")


class Ops(Protocol[T]):
    """Operations on tensors of a backend's type T.

    Images are (batch, channels, height, width). Weights have PyTorch's layouts. A padding of four numbers is
    (top, left, bottom, right).
    """

    def constant(self, name: str, value: NDArray[Any]) -> T:
        """A weight."""
        ...

    def conv2d(self, x: T, weight: T, *, kernel: int, stride: int = 1, padding: int = 0) -> T:
        """Convolution without bias. weight: (out, in, kernel, kernel); padding on all four sides."""
        ...

    def batch_norm(self, x: T, scale: T, bias: T, mean: T, variance: T, *, epsilon: float = 1e-5) -> T:
        """Normalise each channel with given statistics; each of the four is (channels,)."""
        ...

    def relu(self, x: T) -> T:
        """Negative values become 0."""
        ...

    def add(self, x: T, y: T) -> T:
        """Element-wise sum."""
        ...

    def max_pool2d(self, x: T, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> T:
        """Largest value of each window; padding never wins."""
        ...

    def global_avg_pool(self, x: T) -> T:
        """Mean over height and width: (batch, channels)."""
        ...

    def linear(self, x: T, weight: T, bias: T) -> T:
        """X · weightᵀ + bias. x: (batch, in), weight: (out, in), bias: (out,)."""
        ...

    def softmax(self, x: T) -> T:
        """Probabilities over the last axis."""
        ...

    def argmax(self, x: T) -> T:
        """Index of the largest value on the last axis, int64, which is removed; the first one of equals."""
        ...
