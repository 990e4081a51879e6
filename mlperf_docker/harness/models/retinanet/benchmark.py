"""Benchmark `retinanet`, composed for the harness."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.benchmark import Benchmark, Parts
from mlperf_docker.harness.api.model import Model, for_all
from mlperf_docker.harness.api.samples import Named, Payload, Report
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticSet
from mlperf_docker.harness.models.retinanet import NAME, accuracy, detections, official, preprocess, synthetic
from mlperf_docker.harness.models.retinanet import network as networks
from mlperf_docker.harness.models.retinanet.dataset import OpenImages, open_openimages
from mlperf_docker.harness.models.retinanet.parity import compare
from mlperf_docker.harness.models.retinanet.preprocess import OpenImagesSamples
from mlperf_docker.harness.samples.preprocessing import cached, read_all
from mlperf_docker.harness.weights.formats import no_native, read_weights

VARIANTS = {ModelFormat.ONNX: "official ONNX graph", ModelFormat.TORCHSCRIPT: "official TorchScript archive"}


class RetinaNet(Benchmark[OpenImages, None, OpenImagesSamples]):
    """Object detection: 800 x 800 pixels in, up to 300 boxes with scores and labels out."""

    name = NAME
    metrics = ("mAP",)
    server_bound_s = 0.1
    tolerance = 0.001
    traced = ("boxes", "scores", "labels")
    parts = Parts(partial(read_weights, official.READERS, NAME), open_openimages, synthetic.synthesize, None)

    def payload(self, dataset: OpenImages) -> Payload:  # noqa: ARG002
        """The detections of an image."""
        return Payload(np.float32, detections.WIDTH, slow=True)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """Up to 4 on a CPU, which one image nearly fills; images are large, so few of them fill a GPU too."""
        return (1, 2, 4, 8, 16, 32) if device.profile.is_accelerator else (1, 2, 4)

    def native(self, path: Path, format: ModelFormat) -> Model[None, OpenImagesSamples]:  # noqa: A002
        """The official file, or another with its interface: it takes one image and suppresses overlaps itself.

        A graph that `convert` wrote is the network up to its candidates, as with weights.
        """
        if format not in VARIANTS:
            raise no_native(self.name, path, format, VARIANTS)
        count = official.candidates(path) if format is ModelFormat.ONNX else None
        if count is not None:
            return Model(
                source=path,
                format=format,
                interface=networks.own_interface(count),
                variant="ONNX graph that convert wrote",
                form=None,
                postprocess_for=for_all(detections.of_candidates),
            )
        return Model(
            source=path,
            format=format,
            interface=networks.OFFICIAL,
            variant=VARIANTS[format],
            form=None,
            postprocess_for=for_all(detections.of_detections),
        )

    def network(self, arrays: Named, source: str) -> Model[None, OpenImagesSamples]:
        """The network up to its candidates, for batches of any size."""
        made = networks.checked(arrays, source)
        return Model(
            source=made,
            format=None,
            interface=made.interface,
            variant="training checkpoint's weights",
            form=None,
            postprocess_for=for_all(detections.of_candidates),
        )

    def verify(self, dataset: OpenImages, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Decode and resize every image."""
        read_all(preprocess.reading(dataset), workers=workers, report=report)
        drawn = dataset.annotations
        classes = len(np.unique(drawn.category))
        return {"classes": classes, "annotations": len(drawn.number), "bytes": sum(dataset.sizes)}

    def preprocess(
        self,
        dataset: OpenImages,
        form: None,  # noqa: ARG002
        cache: Path,
        *,
        workers: int,
        report: Report,
    ) -> OpenImagesSamples:
        """The images, looked at once; they are decoded when they are loaded."""
        cached(preprocess.job(dataset), cache, workers=workers, report=report)
        return OpenImagesSamples(dataset)

    def score(
        self,
        log: Path,
        dataset: OpenImages,
        samples: OpenImagesSamples,  # noqa: ARG002
        *,
        part: bool = False,  # noqa: ARG002
    ) -> Scored:
        """MAP in percent."""
        found = accuracy.score(log, dataset)
        return Scored((found.percent,), str(found))

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """What the plain loop's detections reach on the first *count* images."""
        return (synthetic.known("mAP", count),)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Detections, matched one to one, and the values of those that match."""
        return compare(ours, theirs)


BENCHMARK = RetinaNet()
