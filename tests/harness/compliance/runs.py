"""Runs of the harness on a cell of the catalog, as a compliance run needs them, without Docker."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ComplianceTest, Mode
from mlperf_docker.recipe import render
from tests.harness.process import Finished, command, finished


@dataclass(frozen=True)
class CellRuns:
    """Runs of a model on its own backend, on tiny synthetic data."""

    model: str
    cache: Path
    folder: Path
    """Where runs have their folders."""
    options: tuple[object, ...] = ("--min-duration", 1)

    def run(self, name: str, *options: object) -> Finished:
        """Do one run, in a new folder *name* or over the last one of that name."""
        results = self.folder / name
        results.mkdir(exist_ok=True)
        cell = self.folder / "cell.json"
        cell.write_text(render.cell(find(Catalog.load(), self.model, "", Device.CPU)).to_json())
        folders = ("--cache", self.cache, "--results", results)
        return finished(command("run", "--cell", cell, "--synthetic", "tiny", *folders, *options), self.folder)

    def performance(self) -> Finished:
        """The performance run."""
        return self.run("performance", *self.options)

    def accuracy(self) -> Finished:
        """The accuracy run."""
        return self.run("accuracy", *self.options[2:], "--mode", Mode.ACCURACY)

    def compliance(self, test: ComplianceTest, *options: object) -> Finished:
        """A compliance run against the two."""
        held = ("--performance-run", self.folder / "performance", "--accuracy-run", self.folder / "accuracy")
        return self.run(test, *self.options[2:], "--compliance", test, *held, *options)
