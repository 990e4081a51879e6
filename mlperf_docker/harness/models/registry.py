"""Benchmarks by name, each imported when it is asked for."""

import difflib
import importlib

from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.api.tables import Tabled

MODELS = {
    "resnet50": ("mlperf_docker.harness.models.resnet50.benchmark", "ResNet50"),
    "3d-unet": ("mlperf_docker.harness.models.unet3d.benchmark", "UNet3D"),
    "retinanet": ("mlperf_docker.harness.models.retinanet.benchmark", "RetinaNet"),
    "bert": ("mlperf_docker.harness.models.bert.benchmark", "Bert"),
    "dlrm": ("mlperf_docker.harness.models.dlrm.benchmark", "Dlrm"),
    "rnnt": ("mlperf_docker.harness.models.rnnt.benchmark", "RnnTransducer"),
}


def load(name: str) -> Benchmark:
    """The benchmark *name*. Raises UsageError, with the nearest name, if there is none."""
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        suggestion = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(MODELS)}."
        raise UsageError(f"no model named {name}", hint=suggestion)
    module, class_name = MODELS[name]
    benchmark: Benchmark = getattr(importlib.import_module(module), class_name)()
    return benchmark


def cut(benchmark: Benchmark, rows: int | None) -> Benchmark:
    """The benchmark with tables of at most *rows*, where that is asked for. Raises UsageError if it has no tables."""
    if rows is None:
        return benchmark
    if not isinstance(benchmark, Tabled):
        raise UsageError(f"{benchmark.name} has no tables that --max-ind-range could cut")
    return benchmark.capped(rows)
