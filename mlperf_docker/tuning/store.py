"""Store of a tuning's trials: a results folder with a run for each, and a small file that says which trial it was.

Before a run its trial is written down, after it the folder of its result. A kill in between is made good
at the next look: the one result that no trial names is that of the trial that has none.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlperf_docker.errors import UsageError
from mlperf_docker.results import store as results
from mlperf_docker.results.values import RunResult
from mlperf_docker.system import atomic, exclusive, folders, paths, small_file
from mlperf_docker.tuning.trials import EndedTrial, Trial, ended

TRIALS = "trials"
_LOCK_FILE = ".tune.lock"
_LARGEST_BYTES = 1_000_000


class KeptTrial(BaseModel):
    """Trial on disk. Without folder and problem it was begun."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial: Trial
    folder: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class TrialStore:
    """Trials of one tuning."""

    folder: Path
    """The results folder of their runs."""

    def claimed(self, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
        """Hold the folder, made if it is missing, against a second tuning. Raises UsageError."""
        folders.make(self.folder, "with --results DIR")
        held = UsageError(f"Another `tune` is at work in {self.folder}.", hint="Wait for it.")
        return exclusive.alone(self.folder / _LOCK_FILE, held, "a second `tune`", say)

    def begin(self, number: int, trial: Trial) -> None:
        """Write down that trial *number* is *trial*. What another version of this tool asked for there stays aside."""
        path = self._path(number)
        kept = self._kept(path)
        if kept is not None and kept.trial == trial:
            return
        if path.exists():
            path.rename(path.with_name(f"{path.stem}-{paths.timestamp()}{path.suffix}"))
        self._write(number, KeptTrial(trial=trial))

    def end(self, number: int, trial: Trial, result: RunResult) -> EndedTrial:
        """Write down the result of a trial."""
        self._write(number, KeptTrial(trial=trial, folder=result.name))
        return ended(trial, result)

    def fail(self, number: int, trial: Trial, problem: str) -> EndedTrial:
        """Write down why a trial has no result."""
        self._write(number, KeptTrial(trial=trial, problem=problem))
        return EndedTrial(trial=trial, problem=problem)

    def ended(self, number: int, trial: Trial) -> EndedTrial | None:
        """Return what trial *number* came to; None where it was not made, or not to its end."""
        kept = self._kept(self._path(number))
        if kept is None or kept.trial != trial:
            return None
        if kept.problem is not None:
            return EndedTrial(trial=trial, problem=kept.problem)
        result = self._result(kept.folder) if kept.folder else self._unnamed(trial)
        return None if result is None else ended(trial, result)

    def adopt(self, number: int, trial: Trial) -> None:
        """Name the result of a trial that was killed before it could."""
        kept = self._kept(self._path(number))
        result = self._unnamed(trial) if kept == KeptTrial(trial=trial) else None
        if result is not None:
            self.end(number, trial, result)

    def _unnamed(self, trial: Trial) -> RunResult | None:
        """The newest result of such a run that no trial names."""
        named = {kept.folder for path in (self.folder / TRIALS).glob("*.json") if (kept := self._kept(path))}
        found = [each for each in results.read_all(self.folder).results if each.name not in named]
        return next((each for each in reversed(found) if trial.is_of(each)), None)

    def _result(self, name: str) -> RunResult | None:
        """The result in the folder *name*; None where somebody removed it, and the trial is made again."""
        try:
            return results.read(self.folder / name)
        except UsageError:
            return None

    def _path(self, number: int) -> Path:
        return self.folder / TRIALS / f"{number:03}.json"

    def _kept(self, path: Path) -> KeptTrial | None:
        try:
            return KeptTrial.model_validate_json(small_file.read(path, _LARGEST_BYTES))
        except (ValidationError, OSError, small_file.UnfitError):
            return None

    def _write(self, number: int, kept: KeptTrial) -> None:
        atomic.write_text(self._path(number), kept.model_dump_json(indent=2, exclude_none=True) + "\n")
