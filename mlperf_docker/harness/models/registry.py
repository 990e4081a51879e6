"""Benchmarks by name, found in the folders beside this module and imported when they are asked for."""

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from mlperf_docker.harness import models
from mlperf_docker.harness.api.benchmark import Benchmark
from mlperf_docker.harness.api.errors import UsageError

AnyBenchmark = Benchmark[Any, Any, Any]
"""A benchmark by name: only its own folder knows which data set, form and samples it has."""


@functools.cache
def packages() -> Mapping[str, str]:
    """Model → its package; each says in NAME what images.yaml calls the model."""
    names = [f"{models.__name__}.{each.name}" for each in pkgutil.iter_modules(models.__path__) if each.ispkg]
    return {importlib.import_module(name).NAME: name for name in names}


def load(name: str) -> AnyBenchmark:
    """The benchmark *name*. Raises UsageError, with the nearest name, if there is none."""
    if name not in packages():
        near = difflib.get_close_matches(name, packages(), n=1)
        suggestion = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(packages())}."
        raise UsageError(f"no model named {name}", hint=suggestion)
    benchmark: AnyBenchmark = importlib.import_module(f"{packages()[name]}.benchmark").BENCHMARK
    return benchmark
