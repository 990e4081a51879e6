"""Files that a run must have left for a tree."""

from collections.abc import Iterator
from pathlib import Path

from mlperf_docker.contract.words import ComplianceTest, Mode
from mlperf_docker.results.values import RunResult
from mlperf_docker.submission import layout
from mlperf_docker.submission.layout import Kind
from mlperf_docker.submission.problems import SubmissionProblem


def problems(where: str, run: RunResult, kind: Kind) -> Iterator[SubmissionProblem]:
    """Yield what lacks in the folder of *run*, which fills the place *where*."""
    folder = Path(run.results_dir)
    lacking = [name for name in _wanted(kind) if not (folder / name).is_file()]
    if lacking:
        yield SubmissionProblem(where, f"{folder} lacks {', '.join(lacking)}", "Repeat the run.")
    if isinstance(kind, ComplianceTest) and (run.compliance is None or not run.compliance.passed):
        why = "; ".join(run.compliance.reasons) if run.compliance else "the result has no verdict"
        yield SubmissionProblem(where, f"{kind} is not passed: {why}", "Repeat the run.")


def _wanted(kind: Kind) -> tuple[str, ...]:
    if kind is Mode.ACCURACY:
        return layout.ACCURACY_FILES
    if kind is Mode.PERFORMANCE:
        return (*layout.PERFORMANCE_FILES, layout.USER_CONF)
    answers = (layout.VERIFIED_ACCURACY, layout.ACCURACY_LOG) if kind.compares_answers else ()
    return (*layout.PERFORMANCE_FILES, layout.VERIFIED_PERFORMANCE, *answers)
