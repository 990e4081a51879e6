"""Record of submitted jobs: one folder a submission, with its scripts, its logs, and jobs.json with the numbers."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from mlperf_docker.catalog.fields import Frozen
from mlperf_docker.errors import UsageError
from mlperf_docker.system import atomic, exclusive, paths

FOLDER = "slurm"
FILE = "jobs.json"
LOCK = ".lock"


class SubmittedArray(Frozen):
    """Array of jobs that was handed to sbatch."""

    script: str
    """Name of its script."""
    job: str | None = None
    """Its number; None until sbatch has told it."""
    runs: tuple[str, ...]
    """Names of the runs, by the number of their task."""


class _Record(Frozen):
    campaign: str
    arrays: tuple[SubmittedArray, ...] = ()


@dataclass(frozen=True)
class Submission:
    """Submission of a campaign: what one command handed to sbatch."""

    folder: Path
    campaign: Path
    arrays: tuple[SubmittedArray, ...] = ()

    def script(self, array: SubmittedArray) -> Path:
        """The path of the script of *array*."""
        return self.folder / array.script

    def holding(self, array: SubmittedArray) -> "Submission":
        """Return the record with *array* in place of what it has of that script, after it is written."""
        others = tuple(each for each in self.arrays if each.script != array.script)
        return self._written((*others, array))

    def without(self, array: SubmittedArray) -> "Submission":
        """Return the record without *array*, which was refused, after it is written."""
        return self._written(tuple(each for each in self.arrays if each.script != array.script))

    def _written(self, arrays: tuple[SubmittedArray, ...]) -> "Submission":
        record = _Record(campaign=str(self.campaign), arrays=arrays)
        atomic.write_text(self.folder / FILE, record.model_dump_json(indent=2) + "\n")
        return replace(self, arrays=arrays)


def new(campaign: Path) -> Submission:
    """Return a submission of *campaign* without jobs, whose folder is made with its first one."""
    return Submission(_root(campaign) / paths.timestamp(), campaign)


def read(campaign: Path) -> tuple[Submission, ...]:
    """Return the submissions of *campaign*, the newest last. Raises UsageError for a record that is none."""
    found = (_read(path) for path in sorted(_root(campaign).glob(f"*/{FILE}")))
    return tuple(each for each in found if each.campaign == campaign)


def alone(campaign: Path, say: Callable[[str], None]) -> contextlib.AbstractContextManager[None]:
    """Hold the record of *campaign* against a second submission, of the same runs. Raises UsageError."""
    held = UsageError(f"The runs of {campaign} are being submitted already.", hint="Wait for it to end.")
    return exclusive.alone(paths.made(_root(campaign)) / LOCK, held, "a second submission", say)


def _read(path: Path) -> Submission:
    try:
        record = _Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"The record of submitted jobs {path} cannot be read.",
            hint="See which jobs there are with squeue; then remove the record's folder.",
        ) from error
    return Submission(path.parent, Path(record.campaign), record.arrays)


def _root(campaign: Path) -> Path:
    return campaign.parent / FOLDER
