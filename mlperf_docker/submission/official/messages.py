"""Messages of upstream's checkers as findings of ours; what is not known is handed on in its own words."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlperf_docker.display import printable
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.findings import TreeFinding, in_order

_LONGEST = 400
_LINE = re.compile(r"\[\S+ \S+ [^\]:]+:\d+ (?P<level>[A-Z]+)\] (?P<said>.*)|(?P<bare>[A-Z]+):[\w.-]+:(?P<plain>.*)")
_QUOTES = "'\""
_TRACEBACK = "Traceback (most recent call last):"
_ERRORS, _WARNINGS = ("ERROR", "CRITICAL"), ("WARNING",)

# Expressions over upstream's messages: `path` is the file or folder, `key` what in it. The first that fits counts.
_KNOWN: tuple[tuple[str, Fault], ...] = (
    (r"(?P<path>\S+) performance_sample_count, found", Fault.LOG_SAMPLES),
    (r"(?P<path>\S+) (?P<key>\w+_rng_seed) is wrong", Fault.LOG_SEEDS),
    (r"Early stopping condition was not met", Fault.LOG_BOUND_MISSED),
    (r"(?P<path>\S+) Latency constraint", Fault.LOG_LATENCY),
    (r"(?P<path>\S+) Required minimum (samples per query|Query Count)", Fault.LOG_QUERY),
    (r"(?P<path>\S+) Test duration less than", Fault.LOG_DURATION),
    (r"(?P<path>\S+) requires equal issue mode", Fault.LOG_EQUAL_ISSUE),
    (r"(?P<path>\S+) (has loadgen errors|contains errors)", Fault.LOG_ERRORS),
    (r"(?P<path>\S+) does not have all required scenarios", Fault.SCENARIO_MISSING),
    (r"(?P<path>\S+) has all unknown scenarios", Fault.SCENARIO_UNKNOWN),
    (r"(?P<path>\S+) (has|is) an? (invalid|unknown) scenario", Fault.SCENARIO_UNKNOWN),
    (r"(?P<path>\S+) ignoring scenario \S+ \(neither", Fault.SCENARIO_UNKNOWN),
    (r"(?P<path>\S+) has an invalid model", Fault.BENCHMARK_UNKNOWN),
    (r"(?P<path>\S+) incorrect network mode", Fault.SYSTEM_NETWORK),
    (r"Result (for scenario \S+ )?can not be inferred .*for: (?P<path>\S+?)\.?( Scenario|$)", Fault.INFERENCE),
    (r"Not enough samples were processed for early stopping", Fault.INFERENCE),
    (r"(?P<path>\S+) accuracy not met", Fault.ACCURACY_BELOW),
    (r"(?P<path>\S+) not hash value", Fault.ACCURACY_HASH),
    (r"(?P<path>\S+) is not truncated", Fault.ACCURACY_LOG_LARGE),
    (r"(?P<path>\S+) (accurcy run does not cover|accuracy_sample_count, found)", Fault.ACCURACY_COVERAGE),
    (r"(?P<path>\S+\.json), field (?P<key>\S+) is missing", Fault.MEASUREMENTS_KEY),
    (r"(?P<path>\S+), field (?P<key>\S+) is missing meaningful", Fault.MEASUREMENTS_KEY),
    (r"(?P<path>\S+), field (?P<key>\S+) is missing", Fault.SYSTEM_KEY_MISSING),
    (r"(?P<path>\S+), field (?P<key>\S+) requires a meaningful", Fault.SYSTEM_KEY_EMPTY),
    (r"(?P<path>\S+) has invalid (?P<key>status|system type)", Fault.SYSTEM_VALUE),
    (r"(?P<path>\S+) has (?P<key>submitter|division) ", Fault.SYSTEM_ELSEWHERE),
    (r"no system_desc for (?P<path>\S+)", Fault.SYSTEM_MISSING),
    (r"(?P<path>\S+) has the following files with no results", Fault.SYSTEM_UNUSED),
    (r"(?P<path>\S+): has not calibration file", Fault.CALIBRATION_MISSING),
    (r"(?P<path>\S+) system json file not found", Fault.SYSTEM_MISSING),
    (r"(?P<path>\S+) src directory does not exist", Fault.SOURCE_MISSING),
    (r"(?P<path>\S+) measurements json file not found", Fault.FILE_MISSING),
    (r"\S+ is missing code_dir (?P<path>\S+)", Fault.SOURCE_MISSING),
    (r"(?P<path>\S+) (is missing|has no accuracy|has no performance|is having no)", Fault.FILE_MISSING),
    (r"Performance log missing at (?P<path>\S+)", Fault.FILE_MISSING),
    (r"(?P<path>\S+) is having empty", Fault.FILE_EMPTY),
    (
        r"(?P<path>\S+) has file list mismatch \(\{[^}]*(mlperf_log_\w+\.txt|accuracy\.txt|_accuracy\.txt)",
        Fault.FILE_MISSING,
    ),
    (r"(?P<path>\S+) has file list mismatch", Fault.FILE_EXTRA),
    (r"Missing (?P<key>TEST\d+) in compliance dir (?P<path>\S+)", Fault.TEST_MISSING),
    (r"no compliance dir for \S+: (?P<path>\S+)", Fault.TEST_MISSING),
    (r"Missing \w+ file in compliance dir. Needs file (?P<path>\S+)", Fault.FILE_MISSING),
    (r"Compliance test .*check .*in (?P<path>\S+) failed", Fault.TEST_FAILED),
    (r"(?P<path>\S+) contains broken symbolic links", Fault.LINK_BROKEN),
    (r"(?P<path>\S+) contains files with size greater", Fault.FILE_TOO_LARGE),
    (r"(?P<path>\S+) contains files with git unfriendly name", Fault.NAME_HIDDEN),
    (r"(?P<path>\S+) contains files with spaces", Fault.NAME_BLANK),
    (r"(?P<path>\S+) has the following __pycache__", Fault.BYTECODE),
    (r"(?P<path>\S+) has the following empty directories", Fault.FOLDER_EMPTY),
    (r"Root contains files outside division folder", Fault.STRAY),
    (r"(?P<path>\S+) contains files outside submitter folder", Fault.STRAY),
    (r"invalid division in input dir (?P<path>\S+)", Fault.DIVISION_UNKNOWN),
)
_PATTERNS = tuple((re.compile(pattern), fault) for pattern, fault in _KNOWN)
_CONSEQUENCES = re.compile(
    r"NoResults |SUMMARY: |Some .* Checks failed for: |Max expected file size|compliance dir .* has issues"
    r"|\S+ has issues$|\S+ measurement_dir has issues|\S+, accuracy not valid|\S+ is OK but accuracy has issues"
    r"|There are multiple messages|\S+, field \S+ is unknown|Execution of check \w+ skipped"
)
"""Messages that only say that something was wrong before."""
_RUN_HAS_ISSUES = re.compile(r"(?P<path>\S+/performance/run_1) has issues")
_HAS_ISSUES = re.compile(r"(\S+|\S+ is OK but accuracy) has issues$|Some .* Checks failed for: ")


@dataclass(frozen=True)
class Printed:
    """Output of a checker, in parts."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    """All other messages."""
    traceback: tuple[str, ...]


def read(lines: Iterable[str], root: str, *, accepted: bool) -> tuple[TreeFinding, ...]:
    """Return the findings in the *lines* of a checker's output.

    root: the tree's place, as the checker knew it; accepted: whether it accepts the tree, and only makes remarks.
    """
    printed = parted(lines)
    errors, warnings = (_telling(each) for each in (printed.errors, printed.warnings))
    if accepted:
        return in_order(_plain(each, root, Fault.UPSTREAM_NOTE) for each in (*errors, *warnings))
    found = [_known(each, root) or _plain(each, root, Fault.UPSTREAM) for each in errors]
    found += [_known(each, root) or _plain(each, root, Fault.UPSTREAM_NOTE) for each in warnings]
    if printed.traceback:
        found.append(_crash(printed, root))
    found += _unsaid(printed.errors, root, {each.path for each in found})
    if not any(each.is_error for each in found):  # then what it says of consequences is all that there is
        found += [_plain(each, root, Fault.UPSTREAM) for each in printed.errors if _HAS_ISSUES.search(each)]
    return in_order(found)


def parted(lines: Iterable[str]) -> Printed:
    """Return what a checker printed, by level. A traceback, and what follows it, is no message."""
    errors: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
    traceback: list[str] = []
    for line in _without_slips(lines):
        found = _LINE.fullmatch(line)
        if found is None and (traceback or line.startswith(_TRACEBACK)):
            traceback.append(line)
        elif found is not None:
            level = found["level"] or found["bare"]
            kind = errors if level in _ERRORS else warnings if level in _WARNINGS else notes
            kind.append(found["said"] if found["level"] else found["plain"])
    return Printed(tuple(errors), tuple(warnings), tuple(notes), tuple(traceback))


def _unsaid(errors: tuple[str, ...], root: str, told: set[str]) -> Iterator[TreeFinding]:
    """Yield performance runs that the old checker finds at fault without a reason, which is so of INVALID ones."""
    for each in errors:
        if found := _RUN_HAS_ISSUES.fullmatch(each):
            path = _relative(found["path"], root)
            if not any(other.startswith(path) for other in told):
                yield TreeFinding(Fault.LOG_INVALID, path, "has issues, and no reason is given")


def _without_slips(lines: Iterable[str]) -> Iterator[str]:
    """Yield *lines*, and of a message that Python's logging could not put together only its words, as an error."""
    slipped = False
    for line in lines:
        slipped = slipped or line.startswith("--- Logging error ---")
        if not slipped:
            yield line
        elif line.startswith("Message: "):
            yield f"ERROR:main:{line.removeprefix('Message: ').strip(_QUOTES)}"
        elif line.startswith("Arguments: "):
            slipped = False


def _telling(messages: tuple[str, ...]) -> list[str]:
    return [each for each in messages if not _CONSEQUENCES.match(each)]


def _known(said: str, root: str) -> TreeFinding | None:
    """Return the finding of ours that a message is; None where it is none."""
    for pattern, fault in _PATTERNS:
        if found := pattern.match(said):
            parts = {"path": "", "key": "", **found.groupdict()}
            path = _relative(parts["path"] or ".", root)
            return TreeFinding(fault, path, _shown(said, root, path), parts["key"] or "")
    return None


def _plain(said: str, root: str, fault: Fault) -> TreeFinding:
    """Return a message in its own words."""
    path = _relative(next((word for word in said.split() if _is_path(word, root)), "."), root)
    return TreeFinding(fault, path, _shown(said, root, path))


def _is_path(word: str, root: str) -> bool:
    return word.startswith((root, "closed/", "open/", "network/"))


def _relative(path: str, root: str) -> str:
    return printable.one_line(path.strip(",.:").removeprefix(root).lstrip("/") or ".")


def _shown(said: str, root: str, path: str = "") -> str:
    """The message with paths of the tree, and without the one that is told anyway."""
    words = said.replace(f"{root}/", "").removeprefix(path).lstrip(" ,:") if path else said
    return printable.shortened(words, _LONGEST)


def _crash(printed: Printed, root: str) -> TreeFinding:
    """Return what a traceback comes from, as far as the checker's notes before it tell."""
    traceback = printed.traceback
    last = next((line for line in reversed(traceback) if line.strip() and not line.startswith(" ")), "")
    path, cause = _cause("\n".join(traceback), last, list(_loads(printed.notes)))
    said = f"{cause} (likely); it ends with {last}" if cause else last
    return TreeFinding(Fault.UPSTREAM_CRASH, _relative(path or ".", root), _shown(said, root))


def _loads(notes: tuple[str, ...]) -> Iterator[tuple[str, str, bool]]:
    """Yield the kind and the path of each file that the checker looked for, and whether it was there."""
    for note in notes:
        found = re.match(r"(Loading|Could not load) (\w+) log from (\S+?),?( path does not exist)?$", note)
        if found and "/TEST" not in found[3]:
            yield found[2], found[3], found[1] == "Loading"


def _cause(traceback: str, last: str, loads: list[tuple[str, str, bool]]) -> tuple[str, str]:
    """Return the file that is most likely the cause, and what is wrong with it."""
    if "check_scenarios" in traceback:
        return "", "a benchmark that the round does not know, or not on this type of system"
    if "int()" in last:
        return "", "number_of_nodes or accelerators_per_node of a system is no whole number"
    if "'NoneType'" in last:
        kinds = ("System",) if "load" in traceback.rsplit("File ", 1)[-1] else ("Performance", "Accuracy")
        absent = [path for kind, path, there in loads if kind in kinds and not there]
        return (absent[-1], "this file is missing") if absent else ("", "")
    read_last = [path for _, path, there in loads if there]
    broken = ("Error" in last or "Exception" in last) and bool(read_last)
    return (read_last[-1], "this file is not as it should be") if broken else ("", "")
