"""ResNet-50 with torchvision's weights: its preprocessing, its checkpoints and TorchScript made of it."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.architectures.resnet50 import POOL_AS_TORCH, ResNetConfig
from mlperf_docker.harness.models.resnet50.dataset import ImageNet, open_imagenet
from mlperf_docker.harness.models.resnet50.network import Form
from mlperf_docker.harness.models.resnet50.preprocess import job, samples, torchvision_crop_origin
from mlperf_docker.harness.models.resnet50.synthetic import draw_weights, fit_classifier
from mlperf_docker.harness.samples.preprocessing import cached
from tests.harness.process import Finished, Harness
from tests.harness.samples.test_preprocessing import photographs, silent

CONFIG = ResNetConfig(blocks=(1, 2, 1, 1), width=8, classes=1000, pool=POOL_AS_TORCH)
TORCHVISION = Form(torchvision=True)
Arrays = dict[str, NDArray[np.float32]]


def plain(path: Path) -> NDArray[np.float32]:
    """The rule of upstream's pre_process_imagenet_pytorch, step by step, with what torchvision does in each."""
    decoded: Any = cv2.imread(str(path))
    image = Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
    width, height = image.size
    short, long = (width, height) if width <= height else (height, width)
    scaled = int(256 * long / short)
    image = image.resize((256, scaled) if width <= height else (scaled, 256), Image.Resampling.BILINEAR)
    top, left = int(round((image.height - 224) / 2.0)), int(round((image.width - 224) / 2.0))  # noqa: RUF046
    image = image.crop((left, top, left + 224, top + 224))
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, deviation = (torch.tensor(x).view(-1, 1, 1) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return np.asarray(tensor.sub_(mean).div_(deviation).numpy())


@pytest.mark.arithmetic
def test_torchvision_samples_are_those_of_the_plain_rule(tmp_path: Path) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    names = photographs(root)
    dataset = open_imagenet(root)
    images = cached(job(dataset, TORCHVISION), cache, workers=1, report=silent)
    expected = np.stack([plain(root / name) for name in names])
    order = [*range(1, len(names)), 0]
    (found,) = samples(images, TORCHVISION).load(order)
    np.testing.assert_array_equal(found, expected[order])
    (last,) = samples(images, Form(torchvision=True, channels_last=True)).load(order)
    np.testing.assert_array_equal(last, expected[order].transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("side", "origin"), [(256, 16), (257, 16), (259, 18), (341, 58), (343, 60), (384, 80)])
def test_the_crop_rounds_halves_to_even(side: int, origin: int) -> None:
    assert torchvision_crop_origin(side, 256) == (origin, 16)
    assert torchvision_crop_origin(256, side) == (16, origin)


def test_each_form_has_a_cache_of_its_own(tiny: SyntheticSet, tmp_path: Path) -> None:
    dataset = open_imagenet(tiny.data, limit=4)
    forms = (Form(), TORCHVISION, Form(channels_last=True))
    a, b, c = (list(cached(job(dataset, form), tmp_path, workers=1, report=silent)) for form in forms)
    assert len(list(tmp_path.rglob("index.json"))) == 2
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, c)


class Bottleneck(nn.Module):  # type: ignore[misc]
    """torchvision's block, with its names."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU()
        shortcut = [nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)]
        self.downsample = nn.Sequential(*shortcut) if stride > 1 or channels != 4 * width else nn.Identity()
        self.skip = nn.quantized.FloatFunctional()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return self.relu(self.skip.add(y, self.downsample(x)))


class ResNet(nn.Module):  # type: ignore[misc]
    """torchvision's network, with its names and a max pool that pads all around."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        channels = config.width
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
        for stage, count in enumerate(config.blocks):
            width, blocks = config.width * 2**stage, []
            for block in range(count):
                blocks.append(Bottleneck(channels, width, 2 if stage and not block else 1))
                channels = 4 * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, config.classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.avgpool(self.layer4(self.layer3(self.layer2(self.layer1(x))))).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(x))


class Known:
    """A small network with weights, and the labels that it gives to the tiny data set's images."""

    def __init__(self, folder: Path, source: ImageNet) -> None:
        arrays = draw_weights(CONFIG, 5)
        arrays["bn1.running_var"] /= 5000
        self.module = ResNet(CONFIG).eval()
        self._fill(arrays)
        self.inputs = torch.from_numpy(np.stack([plain(source.root / name) for name in source.names]))
        with torch.no_grad():
            fit_classifier(arrays, self.module.features(self.inputs).numpy())
            self._fill(arrays)
            self.logits = self.module(self.inputs)
        self.labels = self.logits.argmax(dim=1).tolist()
        first, second = self.logits.topk(2, dim=1).values.unbind(1)
        self.margin = float((first - second).min())
        self.data, self.names = folder, source.names
        for name in source.names:
            (folder / name).hardlink_to(source.root / name)
        self.write_labels(self.labels)

    def write_labels(self, labels: list[int]) -> None:
        """Say in val_map.txt what the images show."""
        lines = [f"{name} {label}\n" for name, label in zip(self.names, labels, strict=True)]
        (self.data / "val_map.txt").write_text("".join(lines))

    def _fill(self, arrays: Arrays) -> None:
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
        missing, unexpected = self.module.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing)


@pytest.fixture(scope="session")
def known(tiny: SyntheticSet, tmp_path_factory: pytest.TempPathFactory) -> Known:
    return Known(tmp_path_factory.mktemp("torchvision"), open_imagenet(tiny.data))


def quantised(known: Known) -> Any:
    """The network in int8 as the official file was made: fused, calibrated, and traced with a batch of one."""
    from torch.ao import quantization as ao

    class Wrapped(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant, self.net = ao.QuantStub(), ao.DeQuantStub(), ResNet(CONFIG)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dequant(self.net(self.quant(x)))

    module = Wrapped().eval()
    module.net.load_state_dict(known.module.state_dict())
    pairs = [["conv1", "bn1", "relu"]]
    for name, block in module.net.named_modules():
        if isinstance(block, Bottleneck):
            pairs += [[f"{name}.conv{n}", f"{name}.bn{n}"] for n in (1, 2, 3)]
            if isinstance(block.downsample, nn.Sequential):
                pairs.append([f"{name}.downsample.0", f"{name}.downsample.1"])
    ao.fuse_modules(module.net, pairs, inplace=True)
    module.qconfig = ao.get_default_qconfig("fbgemm")
    ao.prepare(module, inplace=True)
    with torch.no_grad():
        module(known.inputs)
        return torch.jit.trace(ao.convert(module), known.inputs[:1])


def archives() -> Mapping[str, Callable[[Known, Path], None]]:
    return {
        "zip": lambda known, path: torch.save(known.module.state_dict(), path),
        "legacy": lambda known, path: torch.save(known.module.state_dict(), path, _use_new_zipfile_serialization=False),
        "traced": lambda known, path: torch.jit.trace(known.module, known.inputs[:1]).save(str(path)),
        "scripted": lambda known, path: torch.jit.script(known.module).save(str(path)),
    }


def run(harness: Harness, known: Known, path: Path, *arguments: object) -> Finished:
    options = ("--mode", "accuracy", "--threads-per-instance", 1, *arguments)
    return harness("--data", known.data, "--model-file", path, *options, backend="pytorch")


@pytest.mark.parametrize("kind", archives())
def test_labels_are_those_of_the_plain_module(harness: Harness, known: Known, tmp_path: Path, kind: str) -> None:
    assert known.margin > 1e-3
    assert len(set(known.labels)) > 20
    path = tmp_path / "resnet50-19c8e357.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archives()[kind](known, path)
    done = run(harness, known, path, "--batch-size", 5)
    assert done.code == 0, done
    assert done.result["accuracy"]["value"] == 100.0
    variant = "torchvision's weights" if kind in ("zip", "legacy") else "TorchScript of torchvision's network"
    assert done.result["model_file"]["variant"] == variant


@pytest.mark.filterwarnings("ignore")
def test_an_int8_archive_runs_as_it_is(harness: Harness, known: Known, tmp_path: Path) -> None:
    path = tmp_path / "resnet50_INT8bit_quantized.pt"
    module = quantised(known)
    module.save(str(path))
    with torch.no_grad():
        labels = [int(module(image[None]).argmax()) for image in known.inputs]
    assert labels != known.labels
    assert sum(a == b for a, b in zip(labels, known.labels, strict=True)) > 10
    known.write_labels(labels)
    try:
        done = run(harness, known, path, "--batch-size", 5)
    finally:
        known.write_labels(known.labels)
    assert done.code == 0, done
    assert done.result["accuracy"]["value"] == 100.0


def test_tensorflow_preprocessing_would_give_other_labels(known: Known, tiny: SyntheticSet, tmp_path: Path) -> None:
    dataset = open_imagenet(tiny.data)
    images = cached(job(dataset, Form()), tmp_path, workers=1, report=silent)
    with torch.no_grad():
        logits = known.module(torch.from_numpy(samples(images, TORCHVISION).load(range(dataset.count))[0]))
    assert logits.argmax(dim=1).tolist() != known.labels
