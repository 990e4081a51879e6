"""Common parts of both readers of official graphs: torchvision's layer names, and settings that a graph must have."""

from collections.abc import Iterator, Mapping, Sequence

from mlperf_docker.harness.api.errors import ModelFileError, first_ten

EPSILON = 1e-5
"""Of every normalisation in the architecture."""


def norm_of(convolution: str) -> str:
    """The name of the normalisation after a convolution."""
    if convolution.endswith("downsample.0"):
        return convolution.replace("downsample.0", "downsample.1")
    return convolution.replace("conv", "bn")


def creation_order(blocks: Sequence[int]) -> Iterator[str]:
    """Convolutions in the order in which TensorFlow's model makes them: a stage's first block begins with the shortcut.

    Source: tensorflow/models, official/resnet/resnet_model.py.
    """
    yield "conv1"
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            yield from [f"{name}.downsample.0"] if block == 0 else []
            yield from (f"{name}.conv{number}" for number in (1, 2, 3))


def stride_of(convolution: str) -> int:
    """The stride in v1.5: stages 2 to 4 begin with it, in the 3 x 3 convolution and the shortcut."""
    stage, _, layer = convolution.partition(".0.")
    halves = stage in ("layer2", "layer3", "layer4") and layer in ("conv2", "downsample.0")
    return 2 if halves or convolution == "conv1" else 1


def check_settings(source: str, strides: Mapping[str, int], epsilons: Mapping[str, float]) -> None:
    """Raise ModelFileError if a graph's settings, by layer, are not the architecture's, though its weights would fit.

    ResNet-50 v1 has the same weights as v1.5, but its strides are in other convolutions.
    """
    lines = [
        f"{name} has stride {stride}, not {stride_of(name)}"
        for name, stride in strides.items()
        if stride != stride_of(name)
    ]
    lines += [
        f"{name} has epsilon {epsilon:.3g}, not {EPSILON}"
        for name, epsilon in epsilons.items()
        if abs(epsilon - EPSILON) > EPSILON / 1000
    ]
    if lines:
        raise ModelFileError(f"{source} is another variant of ResNet than v1.5", details=first_ten(lines))
