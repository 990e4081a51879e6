"""Benchmark `resnet50`, composed for the harness."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Benchmark, Parts
from mlperf_docker.harness.api.interface import Interface, Tensor
from mlperf_docker.harness.api.model import Model, for_all
from mlperf_docker.harness.api.samples import Named, Payload, Report, Samples
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticSet
from mlperf_docker.harness.models.resnet50 import NAME, accuracy, preprocess, synthetic
from mlperf_docker.harness.models.resnet50 import network as networks
from mlperf_docker.harness.models.resnet50.dataset import ImageNet, open_imagenet
from mlperf_docker.harness.models.resnet50.network import (
    BACKGROUND,
    IMAGE,
    IMAGE_CHANNELS_LAST,
    LABEL,
    LOGITS,
    PROBABILITIES,
    Form,
)
from mlperf_docker.harness.models.resnet50.official import READERS
from mlperf_docker.harness.samples.preprocessing import cached, read_all
from mlperf_docker.harness.weights.formats import no_native, read_weights


def shifted_label(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> None:  # noqa: ARG001
    """Labels 0..999 as float32 from a network whose class 0 is the background, which ImageNet's labels do not count."""
    out[:, 0] = outputs[0] - 1


def label(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> None:  # noqa: ARG001
    """Labels 0..999 as float32 from a network that decides between just these."""
    out[:, 0] = outputs[0]


def largest_logit(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> None:  # noqa: ARG001
    """Labels 0..999 as float32 from logits (batch, 1000)."""
    out[:, 0] = outputs[0].argmax(axis=-1)


SCORES = (Tensor(PROBABILITIES, "float32", (None, BACKGROUND)),)
"""What the label of the official graphs is made from: a label shows nothing of logits that are no numbers."""

NATIVE: Mapping[ModelFormat, Model[Form, Samples]] = {
    ModelFormat.ONNX: Model(
        source=Path(),
        format=ModelFormat.ONNX,
        interface=Interface((IMAGE,), (LABEL,), watched=SCORES),
        variant="official ONNX graph",
        form=Form(),
        postprocess_for=for_all(shifted_label),
    ),
    ModelFormat.FROZEN_GRAPH: Model(
        source=Path(),
        format=ModelFormat.FROZEN_GRAPH,
        interface=Interface((IMAGE_CHANNELS_LAST,), (LABEL,), watched=SCORES),
        variant="official TensorFlow graph",
        form=Form(channels_last=True),
        postprocess_for=for_all(shifted_label),
    ),
    ModelFormat.TORCHSCRIPT: Model(
        source=Path(),
        format=ModelFormat.TORCHSCRIPT,
        interface=Interface(
            (Tensor("images", "float32", (None, 3, 224, 224)),), (Tensor("logits", "float32", (None, 1000)),)
        ),
        variant="TorchScript of torchvision's network",
        form=Form(torchvision=True),
        postprocess_for=for_all(largest_logit),
    ),
}


class ResNet50(Benchmark[ImageNet, Form, Samples]):
    """Image classification: 224 x 224 pixels in, one label out."""

    name = NAME
    metrics = ("top-1",)
    server_bound_s = 0.015
    traced = (LOGITS,)
    parts = Parts(partial(read_weights, READERS, NAME), open_imagenet, synthetic.synthesize, Form())

    def payload(self, dataset: ImageNet) -> Payload:  # noqa: ARG002
        """A label."""
        return Payload(np.float32, 1)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """Up to 32 on a CPU, where more only costs memory; a GPU wants to be full."""
        return (1, 4, 16, 64, 128, 256) if device.profile.is_accelerator else (1, 2, 4, 8, 16, 32)

    def native(self, path: Path, format: ModelFormat) -> Model[Form, Samples]:  # noqa: A002
        """The official graph, or another with its interface."""
        if format not in NATIVE:
            raise no_native(self.name, path, format, NATIVE)
        return replace(NATIVE[format], source=path)

    def network(self, arrays: Named, source: str) -> Model[Form, Samples]:
        """The network; 1000 classes were trained with torchvision's preprocessing, 1001 with TensorFlow's."""
        made = networks.checked(arrays, source)
        background = len(arrays["fc.bias"]) == BACKGROUND
        return Model(
            source=made,
            format=None,
            interface=made.interface.fetching(LABEL.name, LOGITS),
            variant="TensorFlow's weights" if background else "torchvision's weights",
            form=Form(torchvision=not background),
            postprocess_for=for_all(shifted_label if background else label),
        )

    def default_form(self, official: ModelFormat | None) -> Form:
        """Checkpoints are torchvision's, frozen graphs TensorFlow's."""
        return Form(torchvision=official is ModelFormat.STATE_DICT, channels_last=official is ModelFormat.FROZEN_GRAPH)

    def verify(self, dataset: ImageNet, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Decode every image."""
        read_all(preprocess.job(dataset, Form()), workers=workers, report=report)
        return {"classes": len(set(dataset.labels)), "bytes": sum(dataset.sizes)}

    def preprocess(self, dataset: ImageNet, form: Form, cache: Path, *, workers: int, report: Report) -> Samples:
        """The cropped images, from the cache where it has them."""
        images = cached(preprocess.job(dataset, form), cache, workers=workers, report=report)
        return preprocess.samples(images, form)

    def score(
        self,
        log: Path,
        dataset: ImageNet,
        samples: Samples,  # noqa: ARG002
        *,
        part: bool = False,  # noqa: ARG002
    ) -> Scored:
        """Top-1 in percent."""
        top1 = accuracy.score(log, dataset.labels)
        return Scored((top1.percent,), str(top1))

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """All labels are right but those that were made wrong."""
        wrong = sum(1 for index in synthetic.facts["wrong"] if index < count)
        return (accuracy.Top1(count - wrong, count).percent,)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Logits of ImageNet's classes, and the labels that they decide; a background that never wins says nothing."""
        a, b = (named[LOGITS][:, -networks.CLASSES :] for named in (ours, theirs))
        agreement = float((a.argmax(axis=-1) == b.argmax(axis=-1)).mean())
        return Parity(float(np.abs(a - b).max() / np.abs(b).max()), agreement)


BENCHMARK = ResNet50()
