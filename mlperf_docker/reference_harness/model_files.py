"""Model file of a run in the form that the reference reads: the official one, or the synthetic weights written so."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from mlperf_docker.contract.words import ModelFormat
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.network import Network
from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.models.registry import AnyBenchmark
from mlperf_docker.harness.system import entries
from mlperf_docker.harness.weights import formats
from mlperf_docker.reference_harness import __name__ as package

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
    made_from = {"weights": str(synthetic.weights), "stamp": synthetic.weights.stat().st_mtime_ns, "form": form.value}
    return (
        entries.entry(
            cache / f"model-{form}", made_from, lambda folder: _write(benchmark, synthetic, form, folder / name)
        )
        / name
    )


def _write(benchmark: AnyBenchmark, synthetic: SyntheticSet, form: ModelFormat, path: Path) -> None:
    if form not in WRITERS:
        raise UsageError(f"weights are not written as {form}; they are as {', '.join(WRITERS)}")
    arrays = benchmark.read(synthetic.weights, formats.detect(synthetic.weights))
    network = benchmark.network(arrays, str(synthetic.weights)).source
    if not isinstance(network, Network):
        raise UsageError(f"the weights of {benchmark.name} are no network that a {form} file could hold")
    write: Write = importlib.import_module(f"{package}.{WRITERS[form]}").write
    write(network, path)
