"""Common parts of all synthetic sets: place in the cache, blocks of a large set, and random weights."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.system import entries, files
from mlperf_docker.harness.system.entries import Unfit
from mlperf_docker.harness.system.resources import cores

T = TypeVar("T")
R = TypeVar("R")


def cached_set(cache: Path, name: str, make: Callable[[Path], None], *, taken_up: bool = False) -> SyntheticSet:
    """The set called *name* in *cache*, made by whoever comes first.

    make: fills a folder with data/, weights.safetensors and synthetic.json. It is made again where it was damaged.
    taken_up: what a killed process left of it is in the folder.
    """
    folder = entries.entry(cache / "synthetic" / name, {"set": name}, make, taken_up=taken_up)
    facts = json.loads((folder / "synthetic.json").read_text(encoding="utf-8"))
    return SyntheticSet(folder / "data", folder / "weights.safetensors", facts)


class Blocks:
    """Blocks of a large set that are made: a record of each, with a checksum of its files.

    Where the process that made a set was killed, the next goes on with those that are not recorded.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "blocks"

    def known(self, number: int) -> Mapping[str, Any] | None:
        """What the record of a block says, if it has one."""
        try:
            return entries.read_checked(self._folder / f"{number}.json")
        except Unfit:
            return None

    def fits(self, known: Mapping[str, Any], paths: Sequence[Path]) -> bool:
        """Whether the files of a block are those of its record."""
        try:
            return bool(known["files"] == _sum(paths))
        except OSError:
            return False

    def keep(self, number: int, paths: Sequence[Path], known: Mapping[str, Any]) -> None:
        """Record a block whose files are written, with what is *known* of it."""
        self._folder.mkdir(exist_ok=True)
        entries.write_checked(self._folder / f"{number}.json", {**known, "files": _sum(paths)})


def _sum(paths: Sequence[Path]) -> int:
    value = 0
    for path in paths:
        value = files.crc32(path, value)
    return value


def ahead(make: Callable[[T], R], wanted: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each of *wanted* with what *make* gives for it, in their order; other threads make some of them ahead."""
    threads = cores()
    with ThreadPoolExecutor(threads, "synthetic") as pool:
        begun = deque[Any]()
        try:
            for each in wanted:
                begun.append((each, pool.submit(make, each)))
                if len(begun) > threads:
                    first, future = begun.popleft()
                    yield first, future.result()
            for first, future in begun:
                yield first, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
