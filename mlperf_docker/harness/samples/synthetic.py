"""Common parts of all synthetic sets: place in the cache, and random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.system import entries


def cached_set(cache: Path, name: str, make: Callable[[Path], None]) -> SyntheticSet:
    """The set called *name* in *cache*, made by whoever comes first.

    make: fills a new folder with data/, weights.safetensors and synthetic.json. It is made again where it was damaged.
    """
    folder = entries.entry(cache / "synthetic" / name, {"set": name}, make)
    facts = json.loads((folder / "synthetic.json").read_text(encoding="utf-8"))
    return SyntheticSet(folder / "data", folder / "weights.safetensors", facts)


def draw_weight(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A random weight of a residual network, by the part that its name tells.

    Kernels are He-initialised, normalisations leave values as they are but for a small shift, and the last one of a
    block halves them, so that each block adds a quarter of the variance that it gets.
    """
    if len(shape) > 1:
        deviation = np.sqrt(2.0 / np.prod(shape[1:]))
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)
    if name.endswith(".running_var"):
        return np.ones(shape, dtype=np.float32)
    if name.endswith(".weight"):
        return np.full(shape, 0.5 if name.endswith("bn3.weight") else 1.0, dtype=np.float32)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.1)
