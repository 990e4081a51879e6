"""Faults that a check of a tree knows: code, severity, meaning and fix. docs/submission-checks.md lists them."""

from enum import StrEnum


class FaultSeverity(StrEnum):
    """Severity of a fault: a tree with an error would be refused; a warning is worth a look."""

    ERROR = "error"
    WARNING = "warning"


_WARNING = FaultSeverity.WARNING


class Fault(StrEnum):
    """Fault of a tree, by its code, which never changes its meaning."""

    severity: FaultSeverity
    about: str
    """What is wrong, in one clause."""
    fix: str
    """What puts it right."""

    def __new__(cls, code: str, about: str, fix: str, severity: FaultSeverity = FaultSeverity.ERROR) -> "Fault":
        """Make the member whose value is *code*."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.about, member.fix, member.severity = about, fix, severity
        return member

    # The tree as such.
    TREE_TOO_LARGE = (
        "tree-too-large",
        "the tree has more files, or is deeper, than any submission: the rest of it was not looked at",
        "Name the folder above closed/ and open/, and take out what does not belong there.",
    )
    NO_RESULTS = (
        "no-results",
        "there is no result below closed/ or open/",
        "Name the folder above closed/ and open/; `mlperf-docker submission create` writes one.",
    )
    UNREADABLE = (
        "unreadable",
        "a file or folder cannot be read",
        "Correct its permissions, or write it again.",
    )
    NOT_REGULAR = ("not-regular", "neither a file nor a folder", "Remove it.")
    LINK_BROKEN = ("link-broken", "a link leads nowhere", "Put the file itself there, or remove the link.")
    LINK_OUTSIDE = (
        "link-outside",
        "a link leads out of the tree, or to a folder; it was not followed",
        "Put the file itself there.",
    )
    LINK = ("link", "a link within the tree, which an upload may lose", "Put the file itself there.", _WARNING)
    FILE_TOO_LARGE = (
        "file-too-large",
        "a file is larger than 50 MB",
        "Keep it elsewhere, and say in the README where.",
    )
    NAME_BLANK = ("name-blank", "a name has a blank in it", "Give it a name without blanks.")
    NAME_HIDDEN = ("name-hidden", "a name begins with a dot", "Remove it, or give it another name.")
    NAME_ODD = (
        "name-odd",
        "a name has control characters, or bytes that are not UTF-8",
        "Give it a name of letters, digits, dots, hyphens and underscores.",
    )
    BYTECODE = ("bytecode", "a __pycache__ folder", "Remove it.")
    FOLDER_EMPTY = ("folder-empty", "a folder is empty", "Remove it, or put in what is missing.")
    STRAY = ("stray", "a file or folder that has no place there in this round's layout", "Remove it, or move it.")
    DIVISION_UNKNOWN = (
        "division-unknown",
        "a folder beside closed/ and open/, or a division that this tool does not check",
        "Remove it; the network division is checked by upstream's checker alone (--official).",
    )
    SYNTHETIC = (
        "synthetic",
        "the results were made on synthetic data",
        "Repeat the runs with the real data set and model. To try the check itself: --allow-synthetic",
    )
    # Files.
    FILE_MISSING = (
        "file-missing",
        "a required file or folder is missing",
        "Copy it from the run's folder, or write the tree again: mlperf-docker submission create",
    )
    SOURCE_MISSING = (
        "source-missing",
        "the folder with the source is missing",
        "Put in it what is needed to repeat the results, which `mlperf-docker submission create` writes.",
    )
    FILE_EMPTY = ("file-empty", "a required file is empty", "Write what belongs there.")
    FILE_EXTRA = ("file-extra", "a file that may not stand beside the logs", "Move it to the folder with the source.")
    JSON_BROKEN = ("json-broken", "a file is not the JSON object that it has to be", "Correct it, or write it again.")
    TEXT_BROKEN = ("text-broken", "a text is not UTF-8, or far too long", "Write it again.")
    CALIBRATION_MISSING = (
        "calibration-missing",
        "the description of calibration is missing, which the closed division needs",
        "Write documentation/calibration.md: how weights were quantized, or that they were not.",
    )
    # Description of a system.
    SYSTEM_MISSING = (
        "system-missing",
        "a system with results has no description",
        "Complete what `mlperf-docker system init` writes; `mlperf-docker submission create` puts it into the tree.",
    )
    SYSTEM_UNUSED = (
        "system-unused",
        "a description of a system that has no results",
        "Remove it, or add the results of that system.",
    )
    SYSTEM_KEY_MISSING = (
        "system-key-missing",
        "a system's description lacks a key",
        "Add it: `mlperf-docker system init` writes a description with all keys.",
    )
    SYSTEM_KEY_EMPTY = ("system-key-empty", "a key that must say something is empty", 'Say it, or "N/A".')
    SYSTEM_KEY_TYPE = (
        "system-key-type",
        "a value is not of the kind that the checkers take",
        'Write text in quotes; numbers of nodes and accelerators as whole numbers in quotes, "0" for none.',
    )
    SYSTEM_VALUE = (
        "system-value",
        "a value is none of those that may be",
        "status: available, preview or rdi; system_type: datacenter, edge, or both with a comma between them.",
    )
    SYSTEM_ELSEWHERE = (
        "system-elsewhere",
        "a system's description names another division or submitter than its folder",
        "Correct the description, or move the folder.",
    )
    SYSTEM_NETWORK = (
        "system-network",
        "a system over a network stands in the closed division",
        "Take is_network out, or submit in the network division.",
    )
    # Measurements.
    MEASUREMENTS_KEY = (
        "measurements-key",
        "the facts of the model lack a key, or a value is empty",
        'Add it; a value is text that is not empty ("retraining": "no").',
    )
    # Benchmarks and scenarios.
    BENCHMARK_UNKNOWN = (
        "benchmark-unknown",
        "the round does not take this benchmark there",
        "See which it takes: mlperf-docker rounds show",
    )
    SCENARIO_UNKNOWN = (
        "scenario-unknown",
        "no scenario of this benchmark, or another spelling of one",
        "Rename the folder as LoadGen spells it (SingleStream, MultiStream, Server, Offline), or remove it.",
    )
    SCENARIO_MISSING = (
        "scenario-missing",
        "a scenario that the closed division requires is missing",
        "Run it, or infer it from SingleStream where the system is an edge system.",
    )
    INFERENCE = (
        "inference",
        "the log is of another scenario, from which this one may not be inferred",
        "Run the scenario; on the edge, SingleStream may stand for MultiStream and Offline, MultiStream for Offline.",
    )
    # Logs of LoadGen.
    LOG_BROKEN = ("log-broken", "a log is not as LoadGen writes it", "Repeat the run; logs are never edited.")
    LOG_INCOMPLETE = (
        "log-incomplete",
        "a log lacks what LoadGen always says",
        "Repeat the run: it was cut off, or made with another LoadGen.",
    )
    LOG_ERRORS = ("log-errors", "LoadGen reported errors", "Remove the cause that the entry names; repeat the run.")
    LOG_INVALID = (
        "log-invalid",
        "LoadGen's verdict is not VALID",
        "Repeat the run as the reason in the log advises; `mlperf-docker run` says what to change.",
    )
    LOG_BOUND_MISSED = (
        "log-bound-missed",
        "the run missed its minimum duration, its count of queries or its latency bound",
        "Repeat the run with a longer duration, or in Server a smaller --target-qps.",
    )
    LOG_SUMMARY = (
        "log-summary",
        "summary and detail log are not of the same run",
        "Copy both logs of one run.",
    )
    LOG_MODE = ("log-mode", "the log is of another mode than its folder", "Copy the logs of the other run.")
    LOG_SEEDS = (
        "log-seeds",
        "the random seeds are not those of the round",
        "Repeat the run with: mlperf-docker run --round ROUND. Or is it another round (--round)?",
    )
    LOG_DURATION = (
        "log-duration",
        "the run was configured to last less than the round's minimum",
        "Repeat the run without --min-duration.",
    )
    LOG_SAMPLES = (
        "log-samples",
        "fewer samples were loaded than the round asks for",
        "Repeat the run without --samples.",
    )
    LOG_QUERY = (
        "log-query",
        "Offline's query has fewer samples than the round asks for",
        "Repeat the run without limits on the samples.",
    )
    LOG_LATENCY = (
        "log-latency",
        "Server was configured with a longer latency bound than the round's",
        "Repeat the run with the round's bound.",
    )
    LOG_SETTINGS = (
        "log-settings",
        "LoadGen was told something that the rules do not allow",
        "Repeat the run without these lines in user.conf.",
    )
    LOG_EQUAL_ISSUE = (
        "log-equal-issue",
        "the run did not issue all samples equally often, as the rules ask for this benchmark",
        "Repeat the run with LoadGen's own settings for the benchmark.",
    )
    LOG_AUDITED = (
        "log-audited",
        "the run was made with an audit.config, which belongs to compliance tests",
        "Repeat the run without --compliance.",
    )
    # Accuracy.
    ACCURACY_SCORE = (
        "accuracy-score",
        "accuracy.txt has no score of the kind that the benchmark has",
        "Score the run again; the file is what the benchmark's script prints.",
    )
    ACCURACY_BELOW = (
        "accuracy-below",
        "the score is under the target of the closed division",
        "Submit in the open division, or correct model and data set.",
    )
    ACCURACY_HASH = (
        "accuracy-hash",
        "accuracy.txt does not end with the hash of the full accuracy log, or with that of another one",
        "Truncate the log with `mlperf-docker submission create`, which adds the hash.",
    )
    ACCURACY_LOG_LARGE = (
        "accuracy-log-large",
        "an accuracy log is larger than the round allows",
        "Truncate it with `mlperf-docker submission create`, which keeps the full one aside.",
    )
    ACCURACY_COVERAGE = (
        "accuracy-coverage",
        "the accuracy run did not cover the data set",
        "Repeat the run with the whole data set.",
    )
    # Compliance tests.
    TEST_MISSING = (
        "test-missing",
        "a compliance test that the closed division requires is missing",
        "Run it: mlperf-docker run --compliance TEST…",
    )
    TEST_FAILED = ("test-failed", "a compliance test did not pass", "See what it says, and repeat the test.")
    TEST_OFF = (
        "test-off",
        "the log of a compliance test was made without its audit.config",
        "Repeat the test: mlperf-docker run --compliance TEST…",
    )
    TEST_NOT_ASKED = (
        "test-not-asked",
        "a compliance test that the round does not ask for",
        "Remove it.",
        _WARNING,
    )
    # What only upstream's checker says.
    UPSTREAM = ("upstream", "upstream's checker refuses something else", "See its own words.")
    UPSTREAM_NOTE = (
        "upstream-note",
        "upstream's checker remarks on something that it does not refuse",
        "See its own words.",
        _WARNING,
    )
    UPSTREAM_CRASH = (
        "upstream-crash",
        "upstream's checker ended with a traceback, and said nothing of the rest",
        "Remove the cause that is named, and check again.",
    )
