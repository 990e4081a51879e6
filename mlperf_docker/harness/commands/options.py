"""The options of a run, parsed and checked: what the command line says, and nothing of how it was said."""

from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.words import Mode, Scenario, SyntheticSize
from mlperf_docker.harness.loadgen.user_conf import UserConf


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run finds and leaves its files."""

    data: Path = Path("/data")
    models: Path = Path("/models")
    cache: Path = Path("/cache")
    results: Path = Path("/results")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One LoadGen test. None stands for "measure it" or "the benchmark's own".

    min_duration_s: seconds; max_batch: the batch size, fixed; samples: use only the first so many of the data set.
    threads: operator threads of each instance; workers: preprocessing processes. max_ind_range: rows of each table.
    """

    cell: Cell
    scenario: Scenario
    mode: Mode
    folders: Folders
    precision: str = "fp32"
    synthetic: SyntheticSize | None = None
    model_file: Path | None = None
    samples: int | None = None
    min_duration_s: float | None = None
    target_qps: float | None = None
    target_latency_ms: int | None = None
    batch_size: int | None = None
    instances: int | None = None
    threads: int | None = None
    user_conf: UserConf | None = None
    workers: int | None = None
    max_ind_range: int | None = None

    @property
    def copies(self) -> int:
        """Instances of the model; one where nothing else was asked for or settled."""
        return self.instances or 1

    @property
    def given(self) -> frozenset[str]:
        """Keys of user.conf that options set."""
        values = {
            "target_qps": self.target_qps,
            "min_duration": self.min_duration_s,
            "target_latency": self.target_latency_ms,
        }
        return frozenset(key for key, value in values.items() if value is not None)

    def settled(self, devices: int) -> "RunOptions":
        """The options with a number of instances: by default one on each of *devices*, if a scenario takes several."""
        several = self.scenario in (Scenario.OFFLINE, Scenario.SERVER)
        return replace(self, instances=self.instances or (devices if several else 1))
