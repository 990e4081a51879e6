"""3D-UNet a second time, as a PyTorch module in the manner of the official one, and as a TensorFlow module like its
conversion: channels first outside, channels last around each convolution."""

# mypy: disable-error-code="misc, name-defined, no-any-return, untyped-decorator, unused-ignore"

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlperf_docker.harness.weights import frameworks


def block(source: int, out: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv3d(source, out, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.InstanceNorm3d(out, affine=True), nn.ReLU())


class Pair(nn.Module):
    def __init__(self, source: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = block(source, out, stride), block(out, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class Up(nn.Module):
    def __init__(self, source: int, out: int) -> None:
        super().__init__()
        self.upsample_conv = nn.Sequential(nn.ConvTranspose3d(source, out, 2, 2))
        self.conv1, self.conv2 = block(2 * out, out), block(out, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv2(self.conv1(torch.cat((self.upsample_conv(x), skip), dim=1)))


class Last(nn.Module):
    def __init__(self, source: int, nested: bool) -> None:
        super().__init__()
        convolution = nn.Conv3d(source, 3, 1)
        self.conv = nn.Sequential(convolution) if nested else convolution

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Reference(nn.Module):
    """Two resolutions and the bottleneck. nested: the last layer is spelt output.conv.0, else output.conv."""

    def __init__(self, first: int, second: int, nested: bool = True) -> None:
        super().__init__()
        self.input_block = Pair(1, first, 1)
        self.downsample = nn.ModuleList([Pair(first, second, 2)])
        self.bottleneck = Pair(second, second, 2)
        self.upsample = nn.ModuleList([Up(second, second), Up(second, first)])
        self.output = Last(first, nested)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.input_block(x)
        coarse = self.downsample[0](fine)
        x = self.upsample[0](self.bottleneck(coarse), coarse)
        return self.output(self.upsample[1](x, fine))


def save_tensorflow(arrays: dict[str, Any], folder: Path) -> None:
    """Write a SavedModel of `Reference` with the signature serving_default."""
    tf = frameworks.load("tensorflow")

    class Converted(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = {name: tf.Variable(array) for name, array in arrays.items()}

        def conv(self, x: Any, name: str, stride: int = 1, bias: bool = False) -> Any:
            w = tf.transpose(self.kept[f"{name}.weight"], (2, 3, 4, 1, 0))
            x = tf.transpose(x, (0, 2, 3, 4, 1))
            if w.shape[0] == 3:
                x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])
            x = tf.transpose(tf.nn.conv3d(x, w, [1, stride, stride, stride, 1], "VALID"), (0, 4, 1, 2, 3))
            return x + self.kept[f"{name}.bias"][:, None, None, None] if bias else x

        def pair(self, x: Any, name: str, stride: int = 1) -> Any:
            for part, step in (("conv1", stride), ("conv2", 1)):
                x = self.conv(x, f"{name}.{part}.0", step)
                mean, variance = tf.nn.moments(x, (2, 3, 4), keepdims=True)
                scale, shift = (self.kept[f"{name}.{part}.1.{key}"] for key in ("weight", "bias"))
                x = (x - mean) * tf.math.rsqrt(variance + 1e-5)
                x = tf.nn.relu(x * scale[:, None, None, None] + shift[:, None, None, None])
            return x

        def up(self, x: Any, skip: Any, name: str) -> Any:
            w, b = (self.kept[f"{name}.upsample_conv.0.{key}"] for key in ("weight", "bias"))
            blocks = tf.einsum("ncdhw,coijk->nodihjwk", x, w)
            shape = [tf.shape(x)[0], w.shape[1], *(2 * side for side in x.shape[2:])]
            x = tf.reshape(blocks, shape) + b[:, None, None, None]
            return self.pair(tf.concat([x, skip], 1), name)

        @tf.function(input_signature=[tf.TensorSpec((None, 1, 128, 128, 128), tf.float32, name="input")])
        def __call__(self, x: Any) -> Any:
            fine = self.pair(x, "input_block")
            coarse = self.pair(fine, "downsample.0", 2)
            x = self.up(self.pair(coarse, "bottleneck", 2), coarse, "upsample.0")
            return {"output": self.conv(self.up(x, fine, "upsample.1"), "output.conv.0", bias=True)}

    model = Converted()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.__call__})
