"""Slurm's queue by its own commands: sbatch, squeue, scancel, and sacct where the site keeps accounting.

squeue's --format has been the same for fifteen years, while the JSON of --json changes with every release.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlperf_docker.errors import ClusterError, UsageError

_SUBMIT = "sbatch"
_PATIENCE_S = 120
"""sbatch itself tries for a minute where the controller is busy."""
_FIELDS = ("%F", "%K", "%T", "%r", "%N", "%M", "%l", "%o")
"""Array, task, state, reason, nodes, time used, time limit, script; the last one may have any character."""
_ACCOUNTED = ("JobID", "State", "NodeList")
_UNREACHABLE = (
    "unable to contact slurm controller",
    "could not establish a configuration source",
    "connection refused",
    "connection timed out",
    "socket timed out",
    "zero bytes were transmitted",
    "protocol authentication error",
    "unexpected message received",
)
_UNKNOWN_JOB = "invalid job id"
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
_BY_ITSELF = {"COMPLETED", "FAILED"}
"""States of a job whose command ended by itself, well or not: the results say more."""
_OF_A_SIGNAL = {"FAILED", "CANCELLED"}
"""States of a job whose command heeded a signal, or died of it."""
_WARNED_S = 120
"""Slurm's warning comes 60 s before the limit, and up to a minute earlier."""
_TIME = re.compile(r"(?:(?:(?P<days>\d+)-)?(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)")


@dataclass(frozen=True)
class Task:
    """Task of an array of jobs, as the queue or the accounting shows it."""

    job: str
    """Number of the array."""
    number: int
    state: str
    """Slurm's own word."""
    reason: str | None = None
    """What it waits for."""
    node: str | None = None
    script: Path | None = None
    used_s: float | None = None
    limit_s: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it has not begun, or is to begin again."""
        return self.state in _WAITING

    @property
    def has_ended(self) -> bool:
        """Whether it is over; a state that is not known is none of these."""
        return self.state in _ENDED

    @property
    def end(self) -> str | None:
        """How it ended, unless its command ended by itself."""
        return self.state if self.has_ended and self.state not in _BY_ITSELF else None

    @property
    def was_warned(self) -> bool:
        """Whether it stopped so near its time limit that Slurm may have told it to."""
        if self.state not in _OF_A_SIGNAL or not self.node or self.used_s is None or self.limit_s is None:
            return False  # one without a node has never begun
        return self.used_s + _WARNED_S >= self.limit_s


def require() -> None:
    """Raise ClusterError where no jobs can be submitted from here."""
    if shutil.which(_SUBMIT) is None:
        raise _missing(_SUBMIT)


def submit(script: Path) -> str:
    """Hand *script* to sbatch and return the number of its job. Raises UsageError where sbatch refuses it."""
    done = _ask(_SUBMIT, "--parsable", str(script))
    if done.returncode:
        raise UsageError(
            f"sbatch refuses {script}: {_message(done, _SUBMIT)}",
            hint="Correct `slurm` in campaign.yaml, or --sbatch, and repeat the command.",
        )
    return done.stdout.strip().splitlines()[-1].partition(";")[0]


def tasks(jobs: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of *jobs* that the queue still knows, ended ones too. Raises ClusterError."""
    return _queue(f"--jobs={','.join(jobs)}")


def own_tasks() -> tuple[Task, ...]:
    """Return the tasks of all of this user's jobs that the queue still knows. Raises ClusterError."""
    return _queue("--me")


def accounted(jobs: Iterable[str]) -> tuple[Task, ...]:
    """Return the tasks of *jobs* as the site's accounting knows them; none where it keeps none."""
    if shutil.which("sacct") is None:
        return ()
    asked = ("--noheader", "--parsable2", "--allocations", f"--format={','.join(_ACCOUNTED)}")
    done = _ask("sacct", *asked, f"--jobs={','.join(jobs)}")
    return tuple(_accounted(done.stdout)) if done.returncode == 0 else ()


def cancel(jobs: Iterable[str]) -> None:
    """Cancel *jobs*; those that ended meanwhile are no error. Raises ClusterError."""
    done = _ask("scancel", *jobs)
    if done.returncode and _UNKNOWN_JOB not in done.stderr.lower():
        raise ClusterError(f"scancel failed: {_message(done, 'scancel')}", hint="See the jobs: squeue --me")


def can_tell() -> bool:
    """Tell whether the queue can be asked from here."""
    return shutil.which("squeue") is not None


def _queue(which: str) -> tuple[Task, ...]:
    done = _ask("squeue", "--array", "--noheader", "--states=all", f"--format={'|'.join(_FIELDS)}", which)
    if done.returncode and _UNKNOWN_JOB not in done.stderr.lower():
        raise ClusterError(f"squeue failed: {_message(done, 'squeue')}", hint="See: sinfo")
    return tuple(_queued(done.stdout))


def _ask(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's commands. Raises ClusterError where it is missing, or the controller does not answer."""
    try:
        done = subprocess.run(
            [command, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            check=False,
            start_new_session=True,  # a Ctrl-C is for us: sbatch ends what it began
        )
    except FileNotFoundError as error:
        raise _missing(command) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{command} did not end within {_PATIENCE_S} s.", hint="See: scontrol ping") from error
    except OSError as error:
        raise ClusterError(f"{command} cannot be run: {error.strerror}.") from error
    if done.returncode and any(each in done.stderr.lower() for each in _UNREACHABLE):
        raise ClusterError(f"Slurm does not answer: {_message(done, command)}", hint="See: scontrol ping")
    return done


def _missing(command: str) -> ClusterError:
    hint = "Go to a host that submits to Slurm, or load its module."
    return ClusterError(f"There is no {command} in the PATH.", hint=hint)


def _message(done: subprocess.CompletedProcess[str], command: str) -> str:
    """Return what a command of Slurm's complained of, as one sentence."""
    lines = (line.strip().removeprefix(f"{command}: ").removeprefix("error: ") for line in done.stderr.splitlines())
    told = "; ".join(line.rstrip(".") for line in lines if line and not line.startswith("Try "))
    return f"{told or f'exit code {done.returncode}'}."


def _queued(text: str) -> Iterator[Task]:
    """Yield the tasks of squeue's lines; a line that names a cluster is none."""
    for line in text.splitlines():
        fields = line.strip().split("|", len(_FIELDS) - 1)
        if len(fields) == len(_FIELDS) and fields[1].isdigit():
            job, number, state, reason, node, used, limit, script = fields
            why = None if reason == "None" else reason
            yield Task(job, int(number), state, why, node or None, Path(script), seconds(used), seconds(limit))


def _accounted(text: str) -> Iterator[Task]:
    """Yield the tasks of sacct's lines; what waits has several numbers in one line, and is in the queue."""
    for line in text.splitlines():
        fields = line.strip().split("|")
        job, _, number = fields[0].partition("_")
        if len(fields) == len(_ACCOUNTED) and number.isdigit():
            node = None if fields[2] in ("", "None assigned") else fields[2]
            yield Task(job, int(number), (fields[1].split() or [""])[0], node=node)


def seconds(text: str) -> float | None:
    """Return a time as Slurm writes it, `1-02:03:04` or `0:09`, in seconds; None for none, or no limit."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    parts = {name: int(value or 0) for name, value in match.groupdict().items()}
    return float(((parts["days"] * 24 + parts["hours"]) * 60 + parts["minutes"]) * 60 + parts["seconds"])
