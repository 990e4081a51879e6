"""Files of a run as the reference wants them, made of ours by a module of `models`."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mlperf_docker.harness.api.scores import SyntheticSet
from mlperf_docker.harness.commands.options import LoadgenRun
from mlperf_docker.harness.models import registry
from mlperf_docker.harness.models.registry import AnyBenchmark
from mlperf_docker.reference_contract.reference import ReferenceImplementation


@dataclass(frozen=True)
class Given:
    """Files and options of a run, and folders to write to."""

    options: LoadgenRun
    reference: ReferenceImplementation
    benchmark: AnyBenchmark
    checkout: Path
    code: Path | None
    """Folder of the model code; None where all is in the checkout."""
    data: Path
    """Folder of the data set, in the official layout."""
    dataset: Any
    """The same, opened by the benchmark; at most as many samples as the run uses."""
    count: int
    """Samples of it that the run uses."""
    synthetic: SyntheticSet | None
    """None for real data."""
    model: Path | None
    """Model file in the reference's form; None where it has none."""
    work: Path
    """Empty folder, for this run alone; the script is started in it."""
    cache: Path
    """Folder that later runs on the same data and weights find again."""

    @property
    def made(self) -> SyntheticSet:
        """The synthetic set of a run without a model file."""
        if self.synthetic is None:
            raise ValueError("real data come with a model file")
        return self.synthetic

    @property
    def weights(self) -> Path:
        """The model file that was given, else the synthetic weights."""
        return self.model or self.made.weights


Files = Callable[[Given], Mapping[str, object]]
"""Makes files, and gives values of placeholders, which go before the usual ones."""


def as_they_are(given: Given) -> Mapping[str, object]:  # noqa: ARG001
    """Nothing: the reference reads the official layout."""
    return {}


ScoredLog = Callable[[Given, Path], Path]
"""The accuracy log that is scored, out of LoadGen's: the same, or a part of it."""


def whole(given: Given, log: Path) -> Path:  # noqa: ARG001
    """The whole of LoadGen's log."""
    return log


def of_model(model: str) -> Files:
    """The function `files` of the model's module."""
    found: Files = getattr(_module(model), "files", as_they_are)
    return found


def scored_log(model: str) -> ScoredLog:
    """The function `scored_log` of the model's module."""
    found: ScoredLog = getattr(_module(model), "scored_log", whole)
    return found


def _module(model: str) -> ModuleType | None:
    """The model's module here, which is called as its folder in the harness."""
    package = registry.packages()[model].rpartition(".")[2]
    name = f"{__package__}.{package}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
