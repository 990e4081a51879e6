"""Backends by name: each is a folder beside this module, with its class as BACKEND in the module `backend`.

A folder is imported only when it is asked for: frameworks are slow to import, and most are absent.
"""

import difflib
import functools
import importlib
import pkgutil

from mlperf_docker.harness import backends
from mlperf_docker.harness.api.backend import Backend
from mlperf_docker.harness.api.errors import UsageError

REFERENCE = "onnxruntime"
"""The backend that answers for one that computes nothing."""


@functools.cache
def names() -> tuple[str, ...]:
    """The backends that there are, installed or not."""
    return tuple(each.name for each in pkgutil.iter_modules(backends.__path__) if each.ispkg)


def load(name: str) -> Backend:
    """The backend *name*. Raises UsageError if there is none, or if its framework is not installed here."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        suggestion = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names())}."
        raise UsageError(f"no backend named {name}", hint=suggestion)
    try:
        backend: Backend = importlib.import_module(f"{backends.__name__}.{name}.backend").BACKEND()
    except ImportError as error:
        raise UsageError(f"the backend {name} is not installed here: {error}") from error
    return backend
