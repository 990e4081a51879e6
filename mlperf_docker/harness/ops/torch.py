"""Operations as PyTorch executes them, eagerly, on tensors of one device."""

from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch.nn import functional

from mlperf_docker.harness.api.ops import MASKED, LstmWeights

T: TypeAlias = torch.Tensor


def _listed(weights: LstmWeights[T]) -> list[T]:
    return [weights.from_input, weights.from_hidden, weights.input_bias, weights.hidden_bias]


class TorchOps:
    """Executes each operation. Images are in channels-last memory, which convolutions of both devices like best.

    Their axes stay (batch, channels, height, width): PyTorch keeps the order in memory apart from that of the axes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def constant(self, name: str, value: NDArray[Any]) -> T:  # noqa: ARG002
        """The array on the device; on the CPU it shares the array's memory."""
        return torch.from_numpy(value).to(self._device)

    def image(self, x: T) -> T:
        """The same values with the channels next to each other in memory."""
        return x.contiguous(memory_format=torch.channels_last)

    def channels_last(self, x: T) -> T:
        """A view with the axes in the order of memory."""
        return x.permute(0, 2, 3, 1)

    def conv2d(
        self,
        x: T,
        weight: T,
        bias: T | None = None,
        *,
        kernel: int,  # noqa: ARG002 (the weight's shape says it)
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> T:
        """`conv2d`."""
        return functional.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups)

    def batch_norm(self, x: T, scale: T, bias: T, mean: T, variance: T, *, epsilon: float = 1e-5) -> T:
        """`batch_norm` in inference mode."""
        return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)

    def standardize(self, x: T, mean: T, deviation: T) -> T:
        """Subtraction and division by (channels, 1, 1)."""
        return (x - mean[:, None, None]) / deviation[:, None, None]

    def max_pool2d(self, x: T, *, kernel: int, stride: int, padding: tuple[int, int, int, int]) -> T:
        """`max_pool2d`, which can pad by itself where all sides are alike."""
        top, left, bottom, right = padding
        if top == left == bottom == right:
            return functional.max_pool2d(x, kernel, stride, padding=top)
        return functional.max_pool2d(functional.pad(x, (left, right, top, bottom), value=float("-inf")), kernel, stride)

    def global_avg_pool(self, x: T) -> T:
        """Mean of the two axes."""
        return x.mean(dim=(2, 3))

    def upsample_nearest(self, x: T, factor: int) -> T:
        """`interpolate`."""
        return functional.interpolate(x, scale_factor=factor, mode="nearest")

    def volume(self, x: T) -> T:
        """On a CPU the same values with the channels next to each other in memory: three quarters of the time."""
        return x.contiguous(memory_format=torch.channels_last_3d) if x.is_cpu else x

    def channels_first(self, x: T) -> T:
        """The same values with each channel by itself."""
        return x.contiguous()

    def conv3d(
        self,
        x: T,
        weight: T,
        bias: T | None = None,
        *,
        kernel: int,  # noqa: ARG002 (the weight's shape says it)
        stride: int = 1,
        padding: int = 0,
    ) -> T:
        """`conv3d`."""
        return functional.conv3d(x, weight, bias, stride=stride, padding=padding)

    def conv_transpose3d(self, x: T, weight: T, bias: T, *, kernel: int) -> T:
        """`conv_transpose3d`."""
        return functional.conv_transpose3d(x, weight, bias, stride=kernel)

    def instance_norm(self, x: T, scale: T, bias: T, *, epsilon: float = 1e-5) -> T:
        """`group_norm` with groups of one channel: `instance_norm` is slower and undoes the order in memory."""
        return functional.group_norm(x, x.shape[1], scale, bias, epsilon)

    def join(self, parts: list[T]) -> T:
        """`cat` on the channels."""
        return torch.cat(parts, dim=1)

    def relu(self, x: T) -> T:
        """`relu`."""
        return functional.relu(x)

    def sigmoid(self, x: T) -> T:
        """`sigmoid`."""
        return torch.sigmoid(x)

    def exp(self, x: T) -> T:
        """`exp`."""
        return torch.exp(x)

    def add(self, x: T, y: T) -> T:
        """Sum."""
        return x + y

    def sub(self, x: T, y: T) -> T:
        """Difference."""
        return x - y

    def mul(self, x: T, y: T) -> T:
        """Product."""
        return x * y

    def clip(self, x: T, low: float, high: float) -> T:
        """`clamp`."""
        return torch.clamp(x, low, high)

    def linear(self, x: T, weight: T, bias: T | None = None) -> T:
        """`linear`."""
        return functional.linear(x, weight, bias)

    def row_products(self, x: T, y: T) -> T:
        """`bmm` with the second one transposed."""
        return torch.bmm(x, y.transpose(1, 2))

    def select(self, x: T, places: NDArray[Any]) -> T:
        """`index_select` on the last axis."""
        return torch.index_select(x, -1, torch.from_numpy(places).to(self._device))

    def to_float(self, x: T) -> T:
        """`float`."""
        return x.float()

    def softmax(self, x: T) -> T:
        """`softmax`."""
        return torch.softmax(x, -1)

    def argmax(self, x: T) -> T:
        """`argmax`; of equals it gives the first one on both devices."""
        return torch.argmax(x, -1)

    def reduce_max(self, x: T) -> T:
        """`amax`."""
        return torch.amax(x, -1)

    def top_k(self, x: T, k: int) -> tuple[T, T]:
        """`topk`, sorted."""
        values, indices = torch.topk(x, k, dim=-1, sorted=True)
        return values, indices

    def take(self, x: T, indices: T) -> T:
        """`gather`, with each index repeated for all values of its row."""
        for axis in range(2, x.dim()):
            indices = indices.unsqueeze(-1).expand(*indices.shape, x.shape[axis])
        return torch.gather(x, 1, indices)

    def floor_divide(self, x: T, divisor: int) -> T:
        """`div`, rounded down."""
        return torch.div(x, divisor, rounding_mode="floor")

    def remainder(self, x: T, divisor: int) -> T:
        """`remainder`."""
        return torch.remainder(x, divisor)

    def reshape(self, x: T, *shape: int) -> T:
        """`reshape`; the batch is read from the tensor, so that a trace takes any."""
        return x.reshape(x.shape[0], *shape)

    def slice(self, x: T, start: int, stop: int) -> T:
        """A view of the part."""
        return x[..., start:stop]

    def concat(self, parts: list[T], axis: int) -> T:
        """`cat`."""
        return torch.cat(parts, dim=axis)

    def embedding(self, table: T, ids: T) -> T:
        """`embedding`."""
        return functional.embedding(ids, table)

    def first_rows(self, table: T, x: T) -> T:
        """A view; the length is read from the tensor, so that a trace takes any."""
        return table[: x.shape[1]]

    def rows(self, x: T) -> T:
        """`reshape`."""
        return x.reshape(-1, x.shape[-1])

    def sequences(self, x: T, like: T) -> T:
        """`reshape`."""
        return x.reshape(like.shape[0], like.shape[1], -1)

    def swap(self, x: T) -> T:
        """A view."""
        return x.transpose(0, 1)

    def cut_off(self, x: T, lengths: T) -> T:
        """Product with 1 and 0."""
        kept = torch.arange(x.shape[0], device=x.device)[:, None] < lengths
        return x * kept[:, :, None]

    def stack_pairs(self, x: T) -> T:
        """`pad` and `reshape`; the sizes are read from the tensor, so that a trace takes any."""
        x = functional.pad(x, (0, 0, 0, 0, 0, x.shape[0] % 2))
        pairs = x.reshape(-1, 2, x.shape[1], x.shape[2]).transpose(1, 2)
        return pairs.reshape(-1, x.shape[1], 2 * x.shape[2])

    def lstm(self, x: T, weights: LstmWeights[T]) -> T:
        """`lstm`, which is oneDNN's or cuDNN's."""
        start = x.new_zeros(2, 1, x.shape[1], weights.from_hidden.shape[1]).unbind()
        options = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": False}
        places = {"bidirectional": False, "batch_first": False}
        y: T = torch.lstm(x.contiguous(), start, _listed(weights), **options, **places)[0]
        return y

    def lstm_cell(self, x: T, weights: LstmWeights[T], hidden: T, cell: T) -> tuple[T, T]:
        """`lstm_cell`, in a third of the time that `lstm` takes for a step."""
        hidden, cell = torch.lstm_cell(x, (hidden, cell), *_listed(weights))
        return hidden, cell

    def layer_norm(self, x: T, scale: T, bias: T, *, epsilon: float) -> T:
        """`layer_norm`."""
        return functional.layer_norm(x, x.shape[-1:], scale, bias, epsilon)

    def gelu(self, x: T) -> T:
        """`gelu`."""
        return functional.gelu(x)

    def gelu_tanh(self, x: T) -> T:
        """`gelu`, approximated."""
        return functional.gelu(x, approximate="tanh")

    def key_bias(self, mask: T) -> T:
        """(1 - mask) · MASKED."""
        return ((1 - mask) * MASKED)[:, None, None, :]

    def attention(self, query: T, key: T, value: T, bias: T, *, heads: int, size: int) -> T:
        """`scaled_dot_product_attention`, which has kernels of its own on both devices."""
        batch, length = bias.shape[0], bias.shape[3]
        q, k, v = (x.reshape(batch, length, heads, size).transpose(1, 2) for x in (query, key, value))
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return y.transpose(1, 2).reshape(-1, heads * size)
