"""Check of the performance runs."""

from collections.abc import Iterator

from mlperf_docker.contract.words import Mode
from mlperf_docker.submission.checks import runs
from mlperf_docker.submission.checks.examined import ExaminedTree
from mlperf_docker.submission.checks.files import exactly
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.layout import PERFORMANCE_FILES, TOLERATED_FILES

_POWER_FILE = "spl.txt"


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield what is wrong with the files and logs of each performance run."""
    for entry in examined.entries:
        folder = entry.entry.performance
        yield from exactly(examined.tree, folder, PERFORMANCE_FILES, (*TOLERATED_FILES, _POWER_FILE))
        if run := runs.logs_of(examined, entry, Mode.PERFORMANCE):
            yield from runs.of_performance(run)
