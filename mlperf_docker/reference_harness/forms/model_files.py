"""Model file of a run in the form that the reference reads: the official one, or the synthetic weights written so."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.samples import Named
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.models.registry import AnyBenchmark
from mlperf_docker.harness.system import entries
from mlperf_docker.harness.weights import formats

Write = Callable[[Network, Path], None]
"""Writes a network with its weights as a file."""

WRITERS: Mapping[ModelFormat, str] = {
    ModelFormat.ONNX: "onnx_graph",
    ModelFormat.FROZEN_GRAPH: "frozen_graph",
    ModelFormat.SAVED_MODEL: "saved_model",
    ModelFormat.STATE_DICT: "state_dict",
    ModelFormat.TORCHSCRIPT: "torchscript",
}
"""Form → the module that writes it, whose frameworks only some images have."""


def written(benchmark: AnyBenchmark, synthetic: SyntheticSet, form: ModelFormat, name: str, cache: Path) -> Path:
    """The synthetic weights as a file called *name* of that *form*, made where *cache* lacks it."""

    def make(folder: Path) -> None:
        _write(benchmark, synthetic, form, folder / name)

    return kept(synthetic.weights, cache / f"model-{form}", make) / name


def kept(weights: Path, folder: Path, make: Callable[[Path], None], **more: str) -> Path:
    """The folder of the cache that *make* filled from the file *weights*, or fills now. more: what else decides it."""
    made_from = {"weights": str(weights), "stamp": weights.stat().st_mtime_ns, "form": folder.name, **more}
    return entries.entry(folder, made_from, make)


def arrays(benchmark: AnyBenchmark, synthetic: SyntheticSet) -> Named:
    """The synthetic weights by name."""
    return benchmark.read(synthetic.weights, formats.detect(synthetic.weights))


def network(benchmark: AnyBenchmark, synthetic: SyntheticSet) -> Network:
    """The network with the synthetic weights. Raises UsageError for a benchmark whose weights are another thing."""
    source = benchmark.network(arrays(benchmark, synthetic), str(synthetic.weights)).source
    if not isinstance(source, Network):
        raise UsageError(f"the weights of {benchmark.name} are no network that a file could hold")
    return source


def _write(benchmark: AnyBenchmark, synthetic: SyntheticSet, form: ModelFormat, path: Path) -> None:
    if form not in WRITERS:
        raise UsageError(f"weights are not written as {form}; they are as {', '.join(WRITERS)}")
    write: Write = importlib.import_module(f"{__package__}.{WRITERS[form]}").write
    write(network(benchmark, synthetic), path)
