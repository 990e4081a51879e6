"""Check of the compliance tests, which the closed division asks for."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from mlperf_docker.contract.compliance import MOST_APART, MOST_APART_HIGH, PASSED
from mlperf_docker.contract.words import ComplianceTest
from mlperf_docker.display import printable
from mlperf_docker.rounds.round import RoundBenchmark
from mlperf_docker.submission.checks import runs, score_lines
from mlperf_docker.submission.checks.accuracy import log_size
from mlperf_docker.submission.checks.examined import ExaminedEntry, ExaminedTree
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.files import exactly
from mlperf_docker.submission.checks.findings import TreeFinding
from mlperf_docker.submission.layout import (
    COMPLIANCE_SCORE,
    PERFORMANCE_FILES,
    TEST_ACCURACY_FILES,
    TEST_SCORES,
    TOLERATED_FILES,
    VERIFIED_ACCURACY,
    VERIFIED_PERFORMANCE,
)


def check(examined: ExaminedTree) -> Iterator[TreeFinding]:
    """Yield tests that are missing, did not pass, or whose logs would not pass; and those that nobody asks for."""
    for entry in examined.entries:
        tests = entry.benchmark.tests if entry.benchmark is not None and entry.is_closed else ()
        for test in tests:
            yield from _test(examined, entry, test)
        yield from _others(examined, entry, tests)


def _others(examined: ExaminedTree, entry: ExaminedEntry, tests: tuple[ComplianceTest, ...]) -> Iterator[TreeFinding]:
    """Yield folders beside those of *tests* that are named like one, or are nothing at all."""
    own = ("performance", "accuracy") if entry.entry.compliance == entry.entry.results else ()
    for name in examined.tree.folders_in(str(entry.entry.compliance)):
        if name in own or name in tests:
            continue
        path = printable.one_line(str(entry.entry.compliance / name))
        yield TreeFinding(Fault.TEST_NOT_ASKED if name.startswith("TEST") else Fault.STRAY, path)


def _test(examined: ExaminedTree, entry: ExaminedEntry, test: ComplianceTest) -> Iterator[TreeFinding]:
    folder = entry.entry.test(test)
    if not examined.tree.has_folder(str(folder)):
        yield TreeFinding(Fault.TEST_MISSING, str(folder))
        return
    yield from _verdict(examined, folder / VERIFIED_PERFORMANCE)
    yield from exactly(examined.tree, entry.entry.logs(test), PERFORMANCE_FILES, TOLERATED_FILES)
    if run := runs.logs_of(examined, entry, test):
        yield from runs.of_performance(run)
    if test.compares_answers and entry.benchmark is not None:
        yield from _answers(examined, entry, test, entry.benchmark)


def _verdict(examined: ExaminedTree, path: PurePosixPath) -> Iterator[TreeFinding]:
    """Yield a verdict that is missing or did not pass."""
    text = examined.documents.text(path)
    if not examined.tree.has_file(str(path)):
        yield TreeFinding(Fault.FILE_MISSING, str(path))
    elif text is not None and PASSED not in text:
        yield TreeFinding(Fault.TEST_FAILED, str(path), f"it does not say {PASSED}")


def _answers(
    examined: ExaminedTree, entry: ExaminedEntry, test: ComplianceTest, benchmark: RoundBenchmark
) -> Iterator[TreeFinding]:
    """Yield what is wrong with the comparison of answers: equal ones, or else equal scores."""
    path, folder = entry.entry.test(test) / VERIFIED_ACCURACY, entry.entry.test_accuracy(test)
    text = examined.documents.text(path)
    if not examined.tree.has_file(str(path)):
        yield TreeFinding(Fault.FILE_MISSING, str(path))
    equal = PASSED in [line.strip() for line in (text or "").splitlines()]
    yield from exactly(examined.tree, folder, TEST_ACCURACY_FILES, TEST_SCORES)
    yield from log_size(examined, folder)
    if text is not None and not equal:
        yield from _compared(examined, folder, benchmark)


def _compared(examined: ExaminedTree, folder: PurePosixPath, benchmark: RoundBenchmark) -> Iterator[TreeFinding]:
    """Yield what is wrong with the two scores, which decide where the answers differ."""
    most = MOST_APART_HIGH if benchmark.high else MOST_APART
    texts = [examined.documents.text(folder / name) for name in TEST_SCORES]
    for name in TEST_SCORES:
        if not examined.tree.has_file(str(folder / name)):
            what = f"{VERIFIED_ACCURACY} does not say {PASSED}, so that two scores decide"
            yield TreeFinding(Fault.FILE_MISSING, str(folder / name), what)
    if None in texts:
        return
    for target in benchmark.targets:
        before, after = (score_lines.find(text or "", target.metric) for text in texts)
        path = str(folder / COMPLIANCE_SCORE)
        if not before or not after:
            yield TreeFinding(Fault.TEST_FAILED, path, f"no line with {target.metric} in both files", target.metric)
        elif abs(1 - before / after) > most:
            what = f"{before:g} and {after:g} are more than {most:.1%} apart"
            yield TreeFinding(Fault.TEST_FAILED, path, what, target.metric)
