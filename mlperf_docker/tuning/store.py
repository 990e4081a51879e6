"""Store of a tuning's trials: a folder for each, with what was asked and its result or its problem.

A trial is finished when its run has written its result. Nothing else is kept, so a kill at any moment loses no more
than the run that it met.
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlperf_docker.errors import UsageError
from mlperf_docker.results import store as results
from mlperf_docker.system import atomic, exclusive, folders, small_file
from mlperf_docker.tuning.trials import EndedTrial, Trial, done

TRIAL_FILE, PROBLEM_FILE = "trial.json", "problem.json"
_LOCK_FILE = ".lock"
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class TrialStore:
    """Trials of one tuning, each in the folder of its number."""

    folder: Path

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder, made if it is missing, against a second tuning. Raises UsageError."""
        folders.make(self.folder, "with --results DIR")
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(exclusive.file(self.folder / _LOCK_FILE))
            except BlockingIOError as error:
                raise UsageError(f"Another `tune` is at work in {self.folder}.", hint="Wait for it.") from error
            yield

    def place(self, number: int, trial: Trial) -> Path:
        """Return the folder of trial *number*, made if it is missing.

        Where another version of this tool asked for something else at this point, that stays, and another one is made.
        """
        path = next(each for each in self._names(number) if _asked(each) in (trial, None) and not _is_strange(each))
        if not (path / TRIAL_FILE).exists():
            folders.make(path, "with --results DIR")
            atomic.write_text(path / TRIAL_FILE, trial.model_dump_json(indent=2, exclude_none=True) + "\n")
        return path

    def _names(self, number: int) -> Iterator[Path]:
        yield self.folder / f"{number:03}"
        yield from (self.folder / f"{number:03}-{attempt}" for attempt in itertools.count(2))

    def done(self, number: int, trial: Trial) -> EndedTrial | None:
        """Return what trial *number* came to; None where it was not made, or not to its end."""
        path = next(each for each in self._names(number) if _asked(each) == trial or not each.exists())
        found = results.read_all(path).results
        if found:
            return done(trial, found[-1]).model_copy(update={"folder": f"{path.name}/{found[-1].name}"})
        if (path / PROBLEM_FILE).exists():
            with contextlib.suppress(ValidationError, OSError, small_file.UnfitError):
                return EndedTrial.model_validate_json(small_file.read(path / PROBLEM_FILE, _LARGEST_BYTES))
        return None

    def fail(self, number: int, trial: Trial, problem: str) -> EndedTrial:
        """Keep why a trial has no result."""
        found = EndedTrial(trial=trial, problem=problem)
        atomic.write_text(self.place(number, trial) / PROBLEM_FILE, found.model_dump_json(indent=2) + "\n")
        return found


def _is_strange(path: Path) -> bool:
    """Tell whether another version, or a kill in the middle of a write, left something there."""
    return (path / TRIAL_FILE).exists() and _asked(path) is None


def _asked(path: Path) -> Trial | None:
    try:
        return Trial.model_validate_json(small_file.read(path / TRIAL_FILE, _LARGEST_BYTES))
    except (ValidationError, OSError, small_file.UnfitError):
        return None
