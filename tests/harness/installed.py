"""Backends whose framework is installed here: tests do without the others."""

import importlib.metadata

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.contract.devices import Device


def _is_there(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


BACKENDS = [
    name
    for name, distribution in {
        spec.backend: spec.distribution for spec in Catalog.load().specs if spec.device is Device.CPU
    }.items()
    if _is_there(distribution)
]
"""In the order of images.yaml, with one at least."""
