"""Options of a run with its cell and its files, checked against each other."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlperf_docker.contract import compliance
from mlperf_docker.contract.cell import Cell
from mlperf_docker.contract.commands import RunCommand
from mlperf_docker.contract.options import RunOptions
from mlperf_docker.contract.words import Scenario
from mlperf_docker.harness.api.errors import UsageError
from mlperf_docker.harness.loadgen import user_conf
from mlperf_docker.harness.loadgen.user_conf import UserConf


@dataclass(frozen=True)
class Folders:
    """Folders that a run reads and writes."""

    data: Path = RunCommand.data
    models: Path = RunCommand.models
    cache: Path = RunCommand.cache
    results: Path = RunCommand.results


@dataclass(frozen=True, kw_only=True)
class LoadgenRun(RunOptions):
    """LoadGen test: its options, the cell that is tested, and its files."""

    cell: Cell
    folders: Folders = Folders()
    model_file: Path | None = None
    user_conf: UserConf | None = None
    performance_run: Path | None = None
    accuracy_run: Path | None = None
    taken_conf: str | None = None
    """Text of the user.conf of the performance run, which a compliance run takes over."""

    @property
    def copies(self) -> int:
        """Instances of the model; one where nothing else was asked for or settled."""
        return self.instances or 1

    @property
    def seeds(self) -> Mapping[str, int | None]:
        """Seeds of a round, by LoadGen's names; None for mlperf.conf's."""
        return {
            "qsl_rng_seed": self.qsl_rng_seed,
            "sample_index_rng_seed": self.sample_index_rng_seed,
            "schedule_rng_seed": self.schedule_rng_seed,
        }

    @property
    def given(self) -> frozenset[str]:
        """Keys of user.conf that options set."""
        values = {
            "target_qps": self.target_qps,
            "min_duration": self.min_duration_s,
            "target_latency": self.target_latency_ms,
        }
        return frozenset(key for key, value in values.items() if value is not None)

    def settled(self, devices: int) -> "LoadgenRun":
        """The options with a number of instances: by default one on each of *devices*, if a scenario takes several."""
        several = self.scenario in (Scenario.OFFLINE, Scenario.SERVER)
        return replace(self, instances=self.instances or (devices if several else 1))


def run_of(command: RunCommand, cell: Cell) -> LoadgenRun:
    """The LoadGen test that *command* asks for. Raises UsageError for options that contradict each other."""
    for contradiction in command.contradictions():
        raise UsageError(contradiction)
    _check_compliance(command, cell)
    options = {each.name: getattr(command, each.name) for each in dataclasses.fields(RunOptions)}
    return LoadgenRun(
        **options,
        cell=cell,
        folders=Folders(command.data, command.models, command.cache, command.results),
        model_file=command.model_file,
        user_conf=user_conf.read(command.user_conf) if command.user_conf else None,
        performance_run=command.performance_run,
        accuracy_run=command.accuracy_run,
    )


def _check_compliance(command: RunCommand, cell: Cell) -> None:
    """Raise UsageError for a compliance test that the run cannot be."""
    problem = compliance.problem(command, cell.model, cell.compliance.tests, user_conf=command.user_conf is not None)
    if problem:
        raise UsageError(problem.message, hint=problem.hint)
