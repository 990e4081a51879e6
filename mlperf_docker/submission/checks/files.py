"""Check of a folder with logs: the files that must be there, and none but those that may."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from mlperf_docker.display import printable
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.checks.tree import SubmissionTree

_TOLERATED = ("mlperf_log_trace.json", "results.json")
"""Files that upstream's checker takes in any folder with logs."""


def exactly(
    tree: SubmissionTree, folder: PurePosixPath, required: tuple[str, ...], allowed: tuple[str, ...] = ()
) -> Iterator[TreeFinding]:
    """Yield what *folder* lacks of *required*, and what is neither that nor *allowed*."""
    for name in required:
        path = str(folder / name)
        if not tree.has_file(path):
            yield TreeFinding(Fault.FILE_MISSING, path)
        elif tree.nodes[path].size == 0:
            yield TreeFinding(Fault.FILE_EMPTY, path)
    for node in tree.within(str(folder)):
        if node.name not in (*required, *allowed, *_TOLERATED):
            yield TreeFinding(Fault.FILE_EXTRA, printable.one_line(node.path))
