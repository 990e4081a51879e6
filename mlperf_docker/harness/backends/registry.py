"""Backends by name. Each is imported only when it is asked for: frameworks are slow to import, and most are absent."""

import difflib
import importlib

from mlperf_docker.harness.api.backend import Backend
from mlperf_docker.harness.api.errors import UsageError

BACKENDS = {
    "onnxruntime": ("mlperf_docker.harness.backends.onnxruntime", "OnnxRuntime"),
    "tensorflow": ("mlperf_docker.harness.backends.tensorflow", "TensorFlow"),
    "pytorch": ("mlperf_docker.harness.backends.pytorch", "PyTorch"),
    "dummy": ("mlperf_docker.harness.backends.dummy", "Dummy"),
}


def load(name: str) -> Backend:
    """The backend *name*. Raises UsageError if there is none, or if its framework is not installed here."""
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, n=1)
        suggestion = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(BACKENDS)}."
        raise UsageError(f"no backend named {name}", hint=suggestion)
    module, class_name = BACKENDS[name]
    try:
        backend: Backend = getattr(importlib.import_module(module), class_name)()
    except ImportError as error:
        raise UsageError(f"the backend {name} is not installed here: {error}") from error
    return backend
