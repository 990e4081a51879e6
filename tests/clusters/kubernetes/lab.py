"""A campaign of a test and the cluster that runs it: an API server over HTTP whose pods are processes."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_docker.campaigns.execution import Outcome
from mlperf_docker.campaigns.plan import Planner, planner
from mlperf_docker.clusters.kubernetes.cluster import Cluster
from mlperf_docker.clusters.kubernetes.watching import Watcher
from mlperf_docker.images.sources import Sources
from mlperf_docker.results import store
from tests.campaigns.files import HEAD, campaign
from tests.campaigns.finishing import COMPARED, FIGURES, SCORE
from tests.clusters.kubernetes import harness_program
from tests.fakes.engine import FakeDisplay
from tests.fakes.kubernetes_api import Api
from tests.fakes.pod_containers import Processes
from tests.results.run_results import FIELDS

SOURCES = Sources("mlperf-docker")  # --pull never: nodes have the images
SHARED = "{{path: {0}, host_path: {0}}}"


def program(folder: Path) -> Path:
    """Write the program that stands for the harness to *folder*, and return that."""
    package = folder / "mlperf_docker" / "harness"
    package.mkdir(parents=True)
    for each in (package.parent, package):
        (each / "__init__.py").touch()
    shutil.copy(harness_program.__file__, package / "__main__.py")
    (package / "orders.json").write_text("{}")
    (package / "reply.json").write_text(json.dumps(_replies()))
    return folder


def _replies() -> dict[str, Any]:
    """Replies of the harness by the kind of run."""
    known = {key: value for key, value in FIELDS.items() if key not in ("image", "a key of tomorrow")}
    common = {
        **known, "synthetic_size": "tiny", "reasons": [], "settings": {}, "seeds": {}, "model_file": None,
        "loadgen_errors": [],
    }  # fmt: skip
    verdict = {"passed": True, "reasons": [], "accuracy": COMPARED, "performance": FIGURES}
    return {
        "performance": common,
        "accuracy": {**common, "metric": None, "latency_ns": None, "accuracy": {**SCORE, "scores": [SCORE]}},
        "compliance": {**common, "compliance": verdict},
    }


@dataclass
class Lab:
    """folder: of the campaign; api: the server; containers: what pods are run by."""

    folder: Path
    api: Api
    containers: Processes
    cells: str = "- model: resnet50"

    @property
    def results(self) -> Path:
        """The results folder."""
        return self.folder / "results"

    def order(self, **orders: Mapping[str, object]) -> None:
        """Have the program behave as *orders* say, by scenario and kind with _ between."""
        told = {name.replace("_", " "): order for name, order in orders.items()}
        (self.containers.program / "mlperf_docker/harness/orders.json").write_text(json.dumps(told))

    def planner(self, options: str = "{synthetic: tiny, min_duration: 1}", more: str = "") -> Planner:
        """The campaign as it is written now."""
        shared = SHARED.format(self.folder)
        head = f"{HEAD}options: {options}\nkubernetes: {{volumes: [{shared}]{more}}}\n"
        return planner(campaign(self.folder, self.cells, head), SOURCES, FakeDisplay())

    def cluster(self, found: Planner) -> Cluster:
        """A connection to the server."""
        return Cluster(found.campaign.kubernetes)

    def run(self, display: FakeDisplay | None = None, *, go_on: bool = True, patience_s: float = 60) -> Outcome:
        """What `campaign run --on kubernetes` does."""
        found = self.planner()
        watcher = Watcher(found.plan, self.cluster(found), display or FakeDisplay(), go_on)
        watcher.patience_s = patience_s
        return watcher.run()

    def names(self) -> list[str]:
        """The names of all runs that have a result, without their times."""
        return sorted(each.name.partition("-")[2] for each in store.read_all(self.results).results)
