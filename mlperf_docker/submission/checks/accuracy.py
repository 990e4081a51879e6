"""Check of the accuracy runs: their logs, the score, and the hash of the log that it is of."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from mlperf_docker.contract.words import Mode
from mlperf_docker.submission.checks import runs, score_lines
from mlperf_docker.submission.checks.examined import ExaminedEntry, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.files import exactly
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.layout import ACCURACY, ACCURACY_FILES, ACCURACY_LOG

_HASH = re.compile(r"^hash=([0-9a-f]{64})$", re.MULTILINE)
_CUT = re.compile(rb"\n\.{3,}\n")
"""The line that stands for what was cut out of a log."""


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield what is wrong with the files, logs and scores of each accuracy run."""
    for entry in examined.entries:
        folder = entry.entry.accuracy
        yield from exactly(examined.tree, folder, ACCURACY_FILES)
        if run := runs.logs_of(examined, entry, Mode.ACCURACY):
            yield from runs.of_accuracy(run)
        yield from log_size(examined, folder)
        yield from _scores(examined, entry)
        yield from _hash(examined, folder)


def log_size(examined: ExaminedTree, folder: PurePosixPath) -> Iterator[TreeFinding]:
    """Yield the accuracy log of *folder* where it is larger than the round allows."""
    node, most = examined.tree.nodes.get(str(folder / ACCURACY_LOG)), examined.round.accuracy_log_limit_bytes
    if node is not None and node.size > most:
        yield TreeFinding(Fault.ACCURACY_LOG_LARGE, node.path, f"{node.size} bytes, more than {most}")


def _scores(examined: ExaminedTree, entry: ExaminedEntry) -> Iterator[TreeFinding]:
    path = entry.entry.accuracy / ACCURACY
    text = examined.documents.text(path)
    if text is None or entry.benchmark is None:
        return
    for target in entry.benchmark.targets:
        score = score_lines.find(text, target.metric)
        if score is None:
            yield TreeFinding(Fault.ACCURACY_SCORE, str(path), f"no line with {target.metric}", target.metric)
        elif score < target.value and entry.is_closed:
            what = f"{score:g}, the target is {target.value:.6g}"
            yield TreeFinding(Fault.ACCURACY_BELOW, str(path), what, target.metric)


def _hash(examined: ExaminedTree, folder: PurePosixPath) -> Iterator[TreeFinding]:
    """Yield a missing hash; and a wrong one, where the log is not cut and so has a hash that can be computed."""
    path = folder / ACCURACY
    text = examined.documents.text(path)
    if text is None:
        return
    found = _HASH.search(text)
    if found is None:
        yield TreeFinding(Fault.ACCURACY_HASH, str(path), "no line hash=<64 hex digits>", "hash")
        return
    log = examined.documents.content(folder / ACCURACY_LOG)
    if log is not None and not _CUT.search(log) and hashlib.sha256(log).hexdigest() != found[1]:
        yield TreeFinding(Fault.ACCURACY_HASH, str(path), f"not that of {ACCURACY_LOG}, which is not cut", "hash")
