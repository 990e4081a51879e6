"""The dlrm benchmark, put together for the harness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ModelFormat, Scenario, SyntheticSize
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.samples import Form, Named, Payload, Postprocess, Report, Samples
from mlperf_docker.harness.api.scores import Parity, SyntheticSet
from mlperf_docker.harness.models.dlrm import accuracy, aggregation, conversion, placement, preprocess, synthetic
from mlperf_docker.harness.models.dlrm import network as networks
from mlperf_docker.harness.models.dlrm.dataset import DENSE, TABLES, Criteo, open_criteo
from mlperf_docker.harness.models.dlrm.lookup import DENSE_X, IDS
from mlperf_docker.harness.models.dlrm.official import READERS
from mlperf_docker.harness.system import gpu
from mlperf_docker.harness.system.resources import free_memory
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights.formats import read_weights


def answering(samples: Samples) -> Postprocess:
    """How these samples are answered: prediction and label of each of their rows, as upstream does it."""
    if not isinstance(samples, preprocess.Pairs):
        raise TypeError(f"{type(samples).__name__} has no labels")

    def pairs(outputs: Arrays, numbers: Sequence[int], out: NDArray[Any]) -> Sequence[int]:
        lengths = samples.lengths[np.array(numbers)].tolist()
        predictions, start = outputs[0].reshape(-1), 0
        for row, number, length in zip(out, numbers, lengths, strict=True):
            row[0 : 2 * length : 2] = predictions[start : start + length]
            row[1 : 2 * length : 2] = samples.labels(number)
            start += length
        return [2 * length for length in lengths]

    return pairs


def unanswered(outputs: Arrays, samples: Sequence[int], out: NDArray[Any]) -> Sequence[int]:  # noqa: ARG001
    """Nobody can answer without the samples' labels."""
    raise TypeError("dlrm's answers need the samples: see `answering`")


@dataclass(frozen=True)
class Dlrm:
    """Recommendation: rows of 13 numbers and 26 ids in, the probability of a click out.

    limit: rows of each table that are used, where it has more; None for all.
    """

    limit: int | None = None

    name = "dlrm"
    loadgen_key = "dlrm"
    metric = "AUC"
    server_bound_s = 0.06
    tolerance = 0.01
    traced = (networks.PREDICTION.name,)

    def payload(self, dataset: Criteo) -> Payload:  # noqa: ARG002
        """Score and label of up to 700 rows."""
        return Payload(np.float32, 2 * aggregation.LARGEST)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """A sample has 270 rows on average; on a CPU 1000 to 4000, which caches still hold, are best."""
        return (1, 4, 16, 64, 256) if device.profile.is_accelerator else (2, 8, 16)

    def native(self, path: Path, format: ModelFormat) -> Model:  # noqa: A002
        """The official graph: its weights in a network that leaves the tables where they are."""
        if format is ModelFormat.ONNX and path == Path():
            interface = Interface((DENSE_X, IDS), (networks.PREDICTION,))
            return Model(path, format, interface, "no model", preprocess.Form(), unanswered, answering)
        return self.network(self.read(path, format), str(path))

    def read(self, path: Path, format: ModelFormat) -> dict[str, NDArray[Any]]:  # noqa: A002
        """Weights with the official checkpoint's names; tables are mapped where the file allows it."""
        return read_weights(READERS, self.name, path, format, left=self.is_table)

    def network(self, arrays: Named, source: str) -> Model:
        """The network, with all tables in the host's memory."""
        made = networks.checked(self._cut(arrays), source)
        rows = tuple(len(arrays[networks.table_name(number)][: self.limit]) for number in range(TABLES))
        return Model(
            source=made,
            format=None,
            interface=made.interface.fetching(networks.PREDICTION.name),
            variant="official checkpoint's weights" if self.limit is None else f"first {self.limit} rows of each table",
            form=preprocess.Form(rows, self.limit),
            postprocess=unanswered,
            for_samples=answering,
        )

    def _cut(self, arrays: Named) -> Named:
        return {name: array[: self.limit] if self.is_table(name) else array for name, array in arrays.items()}

    def is_table(self, name: str) -> bool:
        """The embeddings."""
        return networks.TABLE.match(name) is not None

    def plan(self, path: Path, device: Device, shares: Sequence[int] = (1,)) -> placement.Placement:
        """Where the tables in *path* will be, going by their sizes and by the GPU that has least for an instance."""
        format = formats.detect(path)  # noqa: A001
        free = 0
        if device.profile.is_accelerator:
            free = min(gpu.free_bytes(device, number) // share for number, share in enumerate(shares))
        tables = placement.sizes(self._cut(self.read(path, format)))
        return placement.plan(tables, device, host_free=free_memory(), device_free=free)

    def capped(self, rows: int) -> "Dlrm":
        """The same with shorter tables."""
        return replace(self, limit=rows)

    def convert_data(self, source: Path, output: Path, *, days: int | None, report: Report) -> Mapping[str, Any]:
        """Criteo's day files to the binary file; *limit* is the range that ids are taken from."""
        limit = self.limit or conversion.OFFICIAL_RANGE
        return conversion.convert(source, output, limit=limit, days=days or conversion.OFFICIAL_DAYS, report=report)

    def default_form(self, backend: str) -> Form:  # noqa: ARG002
        """The rows as they are; whether ids fit is looked at when the tables are known."""
        return preprocess.Form()

    def open_dataset(self, root: Path, *, limit: int | None) -> Criteo:
        """Criteo's rows at *root*."""
        return open_criteo(root, limit=limit)

    def verify(self, dataset: Criteo, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Read every row."""
        found = preprocess.extremes(dataset, workers=workers, report=report)
        preprocess.check(dataset, found, preprocess.Form())
        ids = (found.largest[1 + DENSE :]).tolist()
        return {"rows": len(dataset.rows), "clicks": int(dataset.labels.sum()), "largest_ids": ids}

    def preprocess(self, dataset: Criteo, form: Form, cache: Path, *, workers: int, report: Report) -> Samples:
        """The rows, looked at once; logarithms are taken when they are loaded."""
        found = preprocess.cached_extremes(dataset, cache, workers=workers, report=report)
        preprocess.check(dataset, found, form)
        return preprocess.Pairs(dataset, form)

    def score(self, log: Path, dataset: Criteo, samples: Samples) -> tuple[float, str]:  # noqa: ARG002
        """Area under the curve in percent."""
        found = accuracy.score(log, dataset)
        return found.percent, str(found)

    def synthesize(self, size: SyntheticSize, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """Rows and weights that need no download."""
        return synthetic.synthesize(size, self.limit, cache, answerer, report)

    def known_accuracy(self, synthetic: SyntheticSet, count: int) -> float:
        """What the plain loop's predictions reach on the first *count* samples."""
        percent: float = synthetic.facts["AUC"][count - 1]
        return percent

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Predictions, which are probabilities as they are; they agree where they are rounded alike."""
        a, b = (named[networks.PREDICTION.name] for named in (ours, theirs))
        return Parity(float(np.abs(a - b).max()), float((np.round(a) == np.round(b)).mean()))
