"""A checksum over all that a run takes from a data set."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from mlperf_docker.harness.models import registry


def of_samples(model: str, data: Path, cache: Path) -> str:
    """Of the samples' tensors, in their order."""
    benchmark = registry.load(model)
    dataset = benchmark.open_dataset(data, limit=None)
    samples: Any = benchmark.preprocess(
        dataset, benchmark.default_form(None), cache, workers=1, report=lambda done, total, unit: None
    )
    digest = hashlib.sha256()
    for index in range(samples.count):
        for array in (*samples.load([index]), *_beside(samples, index)):
            digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _beside(samples: Any, index: int) -> list[Any]:
    """What the tensors only stand for: sound, volumes and their marks."""
    if hasattr(samples, "waveform"):
        return [samples.waveform(index)]
    return [samples.volumes[index], samples.marks[index]] if hasattr(samples, "volumes") else []
