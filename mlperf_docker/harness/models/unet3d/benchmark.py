"""The 3d-unet benchmark, put together for the harness."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario, SyntheticSize
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Form, Named, Payload, Report, Samples, write_rows
from mlperf_docker.harness.api.scores import Parity, SyntheticSet
from mlperf_docker.harness.models.unet3d import accuracy, geometry, preprocess, synthetic, windows
from mlperf_docker.harness.models.unet3d import network as networks
from mlperf_docker.harness.models.unet3d.dataset import KiTS19, open_kits19
from mlperf_docker.harness.models.unet3d.official import READERS
from mlperf_docker.harness.samples.preprocessing import read_all
from mlperf_docker.harness.weights.formats import no_native, read_weights

VARIANTS = {
    ModelFormat.ONNX: "official ONNX graph",
    ModelFormat.TORCHSCRIPT: "official TorchScript archive",
    ModelFormat.SAVED_MODEL: "official SavedModel",
}


class UNet3D:
    """Segmentation: a volume of any size in, the class of each of its voxels out."""

    name = "3d-unet"
    loadgen_key = "3d-unet"
    metric = "mean Dice"
    server_bound_s = math.inf
    tolerance = 1e-4
    traced: tuple[str, ...] = ("labels", "lengths")

    def payload(self, dataset: KiTS19) -> Payload:
        """The class of each voxel of the largest volume."""
        return Payload(np.uint8, max(map(geometry.voxels, dataset.shapes)))

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """One volume: batches are of windows, of which a volume has many."""
        return (1,)

    def native(self, path: Path, format: ModelFormat) -> Model:  # noqa: A002
        """The official file, or another with its interface."""
        if format not in VARIANTS:
            raise no_native(self.name, path, format, VARIANTS)
        return _model(path, format, VARIANTS[format])

    def read(self, path: Path, format: ModelFormat) -> dict[str, NDArray[Any]]:  # noqa: A002
        """Weights with the checkpoint's names."""
        return read_weights(READERS, self.name, path, format, hint="A SavedModel runs on tensorflow only.")

    def network(self, arrays: Named, source: str) -> Model:
        """The network for batches of any number of windows."""
        return _model(networks.checked(arrays, source), None, "checkpoint's weights")

    def default_form(self, backend: str) -> Form:  # noqa: ARG002
        """All models take the same volumes."""
        return None

    def open_dataset(self, root: Path, *, limit: int | None) -> KiTS19:
        """The cases of KiTS19 at *root*."""
        return open_kits19(root, limit=limit)

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

    def preprocess(self, dataset: KiTS19, form: Form, cache: Path, *, workers: int, report: Report) -> Samples:  # noqa: ARG002
        """The volumes, and what they are scored against."""
        return preprocess.prepare(dataset, cache, workers=workers, report=report)

    def score(self, log: Path, dataset: KiTS19, samples: Samples) -> tuple[float, str]:  # noqa: ARG002
        """Mean Dice, 0 to 1."""
        if not isinstance(samples, preprocess.Volumes):
            raise TypeError(f"{type(samples).__name__} is not what preprocessing gives")
        found = accuracy.score(log, samples)
        return found.mean, str(found)

    def synthesize(self, size: SyntheticSize, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """Volumes, marks and weights that need no download."""
        return synthetic.synthesize(size, cache, answerer, report)

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """What the plain loop's labels reach in the first *count* cases."""
        dice = synthetic.facts["dice"][:count]
        return accuracy.of_cases([(kidney, tumour) for kidney, tumour in dice]).mean

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """The share of voxels of all volumes whose class differs, and of those whose class is the same."""
        real = np.arange(ours["labels"].shape[1]) < ours["lengths"][:, None]
        differ = float(np.mean(ours["labels"][real] != theirs["labels"][real]))
        return Parity(differ, 1 - differ)


def _model(source: Path | Network, format: ModelFormat | None, variant: str) -> Model:  # noqa: A002
    return Model(
        source=source,
        format=format,
        interface=networks.WINDOWS,
        variant=variant,
        form=None,
        postprocess=write_rows,
        around=windows.Windows,
        memory=windows.memory,
        batch_bytes=windows.batch_bytes,
    )
