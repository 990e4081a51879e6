"""Runs of the harness on a cell of the catalog, as a compliance run needs them, without Docker."""

from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.catalog.loading import Catalog
from mlperf_docker.catalog.selector import find
from mlperf_docker.contract.devices import Device
from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.recipe import render
from tests.harness.process import Finished, command, finished

SERVER_CONF = "*.Server.min_query_count = 100\n*.Server.target_latency_percentile = 90\n"
"""A short Server run: for the 90th percentile early stopping wants some 60 queries that are not late."""
RATE = 50
"""Of queries, which a busy machine keeps up with: the figure of a Server run is about this rate, however busy it is."""


@dataclass(frozen=True)
class CellRuns:
    """Runs of a model on its own backend, on tiny synthetic data."""

    model: str
    cache: Path
    folder: Path
    """Where runs have their folders."""
    scenario: Scenario = Scenario.SERVER
    rate: float = RATE
    backend: str | None = None
    """None for the model's own."""

    def run(self, name: str, *options: object) -> Finished:
        """Do one run, in a new folder *name* or over the last one of that name."""
        results = self.folder / name
        results.mkdir(exist_ok=True)
        cell = self.folder / "cell.json"
        cell.write_text(render.cell(find(Catalog.load(), self.model, "", Device.CPU)).to_json())
        of_cell = ("--cell", cell, *(("--backend", self.backend) if self.backend else ()))
        folders = ("--cache", self.cache, "--results", results)
        return finished(command("run", *of_cell, "--synthetic", "tiny", *folders, *options), self.folder)

    def performance(self) -> Finished:
        """The performance run."""
        load: tuple[object, ...] = ("--scenario", self.scenario, "--min-duration", 1)
        if self.scenario is Scenario.SERVER:
            conf = self.folder / "few.conf"
            conf.write_text(SERVER_CONF)
            load += ("--target-qps", self.rate, "--target-latency", 60_000, "--user-conf", conf)
        return self.run("performance", *load)

    def accuracy(self) -> Finished:
        """The accuracy run."""
        return self.run("accuracy", "--scenario", self.scenario, "--mode", Mode.ACCURACY)

    def compliance(self, test: ComplianceTest, *options: object) -> Finished:
        """A compliance run against the two."""
        held = ("--performance-run", self.folder / "performance", "--accuracy-run", self.folder / "accuracy")
        return self.run(test, "--scenario", self.scenario, "--compliance", test, *held, *options)
