"""Problems of a submission: what is wrong, where, and the fix; always all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlperf_docker.contract.exit_codes import ExitCode
from mlperf_docker.errors import MlperfDockerError


@dataclass(frozen=True)
class SubmissionProblem:
    """SubmissionProblem that keeps results from being a submission."""

    where: str
    """The entry, the run or the file."""
    what: str
    fix: str
    """What to do, as a command where there is one."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.fix}"


class SubmissionError(MlperfDockerError):
    """Results that make no submission, or trees that make none together; with all of the problems."""

    exit_code = ExitCode.INVALID

    def __init__(self, message: str, problems: Sequence[SubmissionProblem], *, hint: str | None = None) -> None:
        super().__init__("\n  ".join((message, *map(str, problems))), hint=hint)
        self.problems = tuple(problems)
