"""Benchmark `3d-unet`, composed for the harness."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.benchmark import Benchmark, Parts
from mlperf_docker.harness.api.model import Model, for_all
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Named, Payload, Report, write_rows
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticSet
from mlperf_docker.harness.models.unet3d import NAME, accuracy, geometry, preprocess, synthetic, windows
from mlperf_docker.harness.models.unet3d import network as networks
from mlperf_docker.harness.models.unet3d.dataset import KiTS19, open_kits19
from mlperf_docker.harness.models.unet3d.official import READERS
from mlperf_docker.harness.models.unet3d.preprocess import Volumes
from mlperf_docker.harness.samples.preprocessing import read_all
from mlperf_docker.harness.weights.formats import no_native, read_weights

VARIANTS = {
    ModelFormat.ONNX: "official ONNX graph",
    ModelFormat.TORCHSCRIPT: "official TorchScript archive",
    ModelFormat.SAVED_MODEL: "official SavedModel",
}


class UNet3D(Benchmark[KiTS19, None, Volumes]):
    """Segmentation: a volume of any size in, the class of each of its voxels out."""

    name = NAME
    metrics = ("mean Dice",)
    server_bound_s = math.inf
    tolerance = 1e-4
    traced = ("labels", "lengths")
    equal_issue = True
    parts = Parts(
        partial(read_weights, READERS, NAME, hint="A SavedModel runs on tensorflow only."),
        open_kits19,
        synthetic.synthesize,
        None,
    )

    def payload(self, dataset: KiTS19) -> Payload:
        """The class of each voxel of the largest volume."""
        return Payload(np.uint8, max(map(geometry.voxels, dataset.shapes)))

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """One volume: batches are of windows, of which a volume has many."""
        return (1,)

    def native(self, path: Path, format: ModelFormat) -> Model[None, Volumes]:  # noqa: A002
        """The official file, or another with its interface."""
        if format not in VARIANTS:
            raise no_native(self.name, path, format, VARIANTS)
        return _model(path, format, VARIANTS[format])

    def network(self, arrays: Named, source: str) -> Model[None, Volumes]:
        """The network for batches of any number of windows."""
        return _model(networks.checked(arrays, source), None, "checkpoint's weights")

    def verify(self, dataset: KiTS19, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Read every file to its end."""
        workers = preprocess.affordable(dataset, workers)
        read_all(preprocess.check_job(dataset), workers=workers, report=report)
        counts = [len(geometry.corners(shape)) for shape in dataset.shapes]
        return {
            "windows": sum(counts),
            "largest": max(dataset.shapes, key=geometry.voxels),
            "bytes": sum(dataset.sizes),
        }

    def preprocess(
        self,
        dataset: KiTS19,
        form: None,  # noqa: ARG002
        cache: Path,
        *,
        workers: int,
        report: Report,
    ) -> Volumes:
        """The volumes, and what they are scored against."""
        return preprocess.prepare(dataset, cache, workers=workers, report=report)

    def score(
        self,
        log: Path,
        dataset: KiTS19,  # noqa: ARG002
        samples: Volumes,
        *,
        part: bool = False,
    ) -> Scored:
        """Mean Dice, 0 to 1."""
        found = accuracy.score(log, samples, part=part)
        return Scored((found.mean,), str(found))

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """What the plain loop's labels reach in the first *count* cases."""
        dice = synthetic.facts["dice"][:count]
        return (accuracy.of_cases([(kidney, tumour) for kidney, tumour in dice]).mean,)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """The share of voxels of all volumes whose class differs, and of those whose class is the same."""
        real = np.arange(ours["labels"].shape[1]) < ours["lengths"][:, None]
        differ = float(np.mean(ours["labels"][real] != theirs["labels"][real]))
        return Parity(differ, 1 - differ)


def _model(source: Path | Network, format: ModelFormat | None, variant: str) -> Model[None, Volumes]:  # noqa: A002
    return Model(
        source=source,
        format=format,
        interface=networks.WINDOWS,
        variant=variant,
        form=None,
        postprocess_for=for_all(write_rows),
        splitting=windows.SlidingWindows(),
    )


BENCHMARK = UNet3D()
