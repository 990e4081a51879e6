"""Benchmark `dlrm`, composed for the harness."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.model_options import ModelOptions
from mlperf_docker.contract.words import ModelFormat, Scenario
from mlperf_docker.harness.api.backend import Arrays
from mlperf_docker.harness.api.benchmark import Answerer, Benchmark, Parts
from mlperf_docker.harness.api.interface import Interface
from mlperf_docker.harness.api.model import Model
from mlperf_docker.harness.api.samples import Named, Payload, Postprocess, Report
from mlperf_docker.harness.api.scores import Parity, Scored, SyntheticKind, SyntheticSet
from mlperf_docker.harness.models.dlrm import NAME, accuracy, aggregation, conversion, placement, preprocess, synthetic
from mlperf_docker.harness.models.dlrm import network as networks
from mlperf_docker.harness.models.dlrm.dataset import DENSE, TABLES, Criteo, open_criteo
from mlperf_docker.harness.models.dlrm.lookup import DENSE_X, IDS
from mlperf_docker.harness.models.dlrm.official import READERS
from mlperf_docker.harness.models.dlrm.preprocess import Form, Pairs
from mlperf_docker.harness.system import gpu
from mlperf_docker.harness.system.resources import free_memory
from mlperf_docker.harness.weights import formats
from mlperf_docker.harness.weights.formats import read_weights

DlrmModel = Model[Form, Pairs]
STORED = {"fp32": "float32", "fp16": "float16"}


def answering(samples: Pairs) -> Postprocess:
    """How these samples are answered: prediction and label of each of their rows, as upstream does it."""

    def pairs(outputs: Arrays, indices: Sequence[int], out: NDArray[Any]) -> Sequence[int]:
        lengths = samples.lengths[np.array(indices)].tolist()
        predictions, start = outputs[0].reshape(-1), 0
        for row, index, length in zip(out, indices, lengths, strict=True):
            row[0 : 2 * length : 2] = predictions[start : start + length]
            row[1 : 2 * length : 2] = samples.labels(index)
            start += length
        return [2 * length for length in lengths]

    return pairs


def is_table(name: str) -> bool:
    """Whether the weight called *name* is a table of embeddings."""
    return networks.TABLE.match(name) is not None


@dataclass(frozen=True)
class Dlrm(Benchmark[Criteo, Form, Pairs]):
    """Recommendation: rows of 13 numbers and 26 ids in, the probability of a click out."""

    limit: int | None = None
    """Rows of each table that are used, and the range that ids are taken from; None for the official number."""
    days: int | None = None
    """Days of the log that become the data set; None for the official number."""
    stored: str | None = None
    """The type of the tables in a converted model file, fp32 or fp16; None leaves them as they are."""

    name = NAME
    metrics = ("AUC",)
    server_bound_s = 0.06
    tolerance = 0.01
    traced = (networks.PREDICTION.name,)
    dropped: ClassVar[Mapping[Scenario, Mapping[str, Any]]] = {Scenario.OFFLINE: {"min_query_count": 24576}}
    """mlperf.conf's wildcard asked for it until v3.1."""
    parts = Parts(
        partial(read_weights, READERS, NAME, left=is_table),
        open_criteo,
        synthetic.synthesize,
        Form(),
    )

    def configured(self, options: ModelOptions) -> "Dlrm":
        """The benchmark with `--max-ind-range`, `--days` and `--tables`."""
        numbers = options.numbers
        return Dlrm(numbers.get("max-ind-range"), numbers.get("days"), options.words.get("tables"))

    def payload(self, dataset: Criteo) -> Payload:  # noqa: ARG002
        """Score and label of up to 700 rows."""
        return Payload(np.float32, 2 * aggregation.LARGEST)

    def batches(self, device: Device, scenario: Scenario) -> tuple[int, ...]:  # noqa: ARG002
        """A sample has 270 rows on average; on a CPU 1000 to 4000, which caches still hold, are best."""
        return (1, 4, 16, 64, 256) if device.profile.is_accelerator else (2, 8, 16)

    def native(self, path: Path, format: ModelFormat) -> DlrmModel:  # noqa: A002
        """The official graph: its weights in a network that leaves the tables where they are."""
        if format is ModelFormat.ONNX and path == Path():
            interface = Interface((DENSE_X, IDS), (networks.PREDICTION,))
            return Model(path, format, interface, "no model", Form(), answering)
        return self.network(self.read(path, format), str(path))

    def network(self, arrays: Named, source: str) -> DlrmModel:
        """The network, with all tables in the host's memory."""
        made = networks.checked(self._cut(arrays), source)
        rows = tuple(len(arrays[networks.table_name(number)][: self.limit]) for number in range(TABLES))
        return Model(
            source=made,
            format=None,
            interface=made.interface.fetching(networks.PREDICTION.name),
            variant="official checkpoint's weights" if self.limit is None else f"first {self.limit} rows of each table",
            form=Form(rows, self.limit),
            postprocess_for=answering,
        )

    def _cut(self, arrays: Named) -> Named:
        return {name: array[: self.limit] if is_table(name) else array for name, array in arrays.items()}

    def plan(self, path: Path, device: Device, shares: Sequence[int] = (1,)) -> placement.Placement:
        """Where the tables in *path* will be, going by their sizes and by the GPU that has least for an instance."""
        format = formats.detect(path)  # noqa: A001
        free = 0
        if device.profile.is_accelerator:
            free = min(gpu.free_bytes(device, number) // share for number, share in enumerate(shares))
        tables = placement.sizes(self._cut(self.read(path, format)))
        return placement.plan(tables, device, host_free=free_memory(), device_free=free)

    def convert_data(self, source: Path, output: Path, report: Report) -> Mapping[str, Any]:
        """Criteo's day files to the binary file."""
        limit, days = self.limit or conversion.OFFICIAL_RANGE, self.days or conversion.OFFICIAL_DAYS
        return conversion.convert(source, output, limit=limit, days=days, report=report)

    def stored_types(self, names: Iterable[str]) -> Mapping[str, str]:
        """The type of each table, where one was asked for."""
        return {name: STORED[self.stored] for name in names if is_table(name)} if self.stored else {}

    def verify(self, dataset: Criteo, *, workers: int, report: Report) -> Mapping[str, Any]:
        """Read every row."""
        found = preprocess.extremes(dataset, workers=workers, report=report)
        preprocess.check(dataset, found, Form())
        ids = (found.largest[1 + DENSE :]).tolist()
        return {"rows": len(dataset.rows), "clicks": int(dataset.labels.sum()), "largest_ids": ids}

    def preprocess(self, dataset: Criteo, form: Form, cache: Path, *, workers: int, report: Report) -> Pairs:
        """The rows, looked at once; logarithms are taken when they are loaded."""
        found = preprocess.cached_extremes(dataset, cache, workers=workers, report=report)
        preprocess.check(dataset, found, form)
        return Pairs(dataset, form)

    def score(
        self,
        log: Path,
        dataset: Criteo,
        samples: Pairs,  # noqa: ARG002
        *,
        part: bool = False,  # noqa: ARG002
    ) -> Scored:
        """Area under the curve in percent."""
        found = accuracy.score(log, dataset)
        return Scored((found.percent,), str(found))

    def synthesize(self, kind: SyntheticKind, cache: Path, answerer: Answerer, report: Report) -> SyntheticSet:
        """Rows and weights that need no download."""
        return synthetic.synthesize(kind, cache, answerer, report, self.limit)

    def known_scores(self, synthetic: SyntheticSet, count: int) -> tuple[float, ...]:
        """What the plain loop's predictions reach on the first *count* samples."""
        return (synthetic.known("AUC", count),)

    def parity(self, ours: Named, theirs: Named) -> Parity:
        """Predictions, which are probabilities as they are; they agree where they are rounded alike."""
        a, b = (named[networks.PREDICTION.name] for named in (ours, theirs))
        return Parity(float(np.abs(a - b).max()), float((np.round(a) == np.round(b)).mean()))


BENCHMARK = Dlrm()
