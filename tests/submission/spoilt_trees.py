"""Ways to spoil a whole tree, each in one way: the fault that our check must tell, and which of upstream's checkers do.

The base is a closed edge tree of ResNet50 with all scenarios; `upstream` and `upstream_old` were found by running both.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlperf_docker.contract.words import ComplianceTest, Mode, Scenario
from mlperf_docker.submission import layout
from mlperf_docker.submission.checks.faults import Fault
from mlperf_docker.submission.checks.tree import LARGEST_BYTES
from mlperf_docker.submission.layout import EntryPlace, Kind
from tests.fixtures.submission_trees import SYSTEM, TreeRecipe, add_error, edit_log


@dataclass(frozen=True)
class Base:
    """Copy of the base tree, to be spoilt."""

    root: Path
    recipe: TreeRecipe

    def entry(self, scenario: Scenario = Scenario.OFFLINE) -> EntryPlace:
        """A scenario of its one benchmark."""
        return self.recipe.entry(self.recipe.benchmarks[0], scenario)

    def at(self, path: PurePosixPath) -> Path:
        """The file or folder at *path*."""
        return self.root / path

    def logs(self, kind: Kind = Mode.PERFORMANCE, scenario: Scenario = Scenario.OFFLINE) -> Path:
        """The folder with logs."""
        return self.root / self.entry(scenario).logs(kind)

    def edit(self, kind: Kind = Mode.PERFORMANCE, scenario: Scenario = Scenario.OFFLINE, **values: Any) -> None:
        """Give keys of a log other values."""
        edit_log(self.logs(kind, scenario), values)

    @property
    def organisation(self) -> layout.Organisation:
        """The submitter's part."""
        return self.recipe.organisation

    def describe(self, **values: Any) -> None:
        """Give keys of the system's description other values, or take those away that get None."""
        path = self.at(self.organisation.system(SYSTEM))
        said = json.loads(path.read_text()) | values
        path.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


@dataclass(frozen=True)
class Spoilt:
    """Way to spoil a tree. upstream, upstream_old: whether these checkers refuse the tree, in the newest round."""

    name: str
    fault: Fault
    spoil: Callable[[Base], object]
    upstream: bool
    upstream_old: bool
    said: Fault | None = None
    """What the old one's words are mapped to, where that is neither our fault nor told in its own words."""


def _invalid(base: Base) -> None:
    base.edit(result_validity="INVALID")
    path = base.logs() / layout.SUMMARY
    path.write_text(path.read_text().replace("Result is : VALID", "Result is : INVALID"))


def _text(place: Callable[[Base], Path], old: str, new: str) -> Callable[[Base], None]:
    def spoil(base: Base) -> None:
        text = place(base).read_text()
        assert old in text
        place(base).write_text(text.replace(old, new))

    return spoil


def _without(place: Callable[[Base], Path]) -> Callable[[Base], None]:
    def spoil(base: Base) -> None:
        path = place(base)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


def _empty(place: Callable[[Base], Path]) -> Callable[[Base], object]:
    return lambda base: place(base).write_bytes(b"")


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _facts(base: Base) -> None:
    path = base.at(base.entry().measurements_file)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"retraining": ""}))


def _swap(source: Kind, target: Kind, scenario: Scenario = Scenario.OFFLINE) -> Callable[[Base], None]:
    """Put the logs of one run in the place of another's."""

    def spoil(base: Base) -> None:
        for name in layout.PERFORMANCE_FILES:
            shutil.copyfile(base.logs(source, scenario) / name, base.logs(target) / name)

    return spoil


def _synthetic(base: Base) -> None:
    path = base.at(base.organisation.source / "resnet" / "result.json")
    path.write_text('{"synthetic": true}')


def _accuracy(base: Base) -> Path:
    return base.at(base.entry().accuracy)


def _src(base: Base) -> Path:
    return base.at(base.organisation.source / "resnet")


_T1, _T4 = ComplianceTest.TEST01, ComplianceTest.TEST04
_SS = Scenario.SINGLE_STREAM
SPOILT = (
    # What LoadGen says of a performance run. Upstream's new checker passes the first ones.
    Spoilt("run is INVALID", Fault.LOG_INVALID, _invalid, False, True),
    Spoilt(
        "minimum duration failed",
        Fault.LOG_BOUND_MISSED,
        lambda base: base.edit(result_min_duration_met=False),
        False,
        False,
    ),
    Spoilt("errors in the performance log", Fault.LOG_ERRORS, lambda base: add_error(base.logs()), False, True),
    Spoilt("run under audit.config", Fault.LOG_AUDITED, _swap(_T1, Mode.PERFORMANCE), False, False),
    Spoilt("no summary", Fault.FILE_MISSING, _without(lambda base: base.logs() / layout.SUMMARY), False, True),
    Spoilt(
        "summary of another run",
        Fault.LOG_SUMMARY,
        _text(lambda base: base.logs() / layout.SUMMARY, "Result is : VALID", "Result is : INVALID"),
        False,
        False,
    ),
    Spoilt(
        "sample issued again and again",
        Fault.LOG_SETTINGS,
        lambda base: base.edit(effective_performance_issue_same=True),
        False,
        False,
    ),
    Spoilt(
        "duration configured too short",
        Fault.LOG_DURATION,
        lambda base: base.edit(effective_min_duration_ms=5000),
        True,
        True,
    ),
    Spoilt("wrong seed", Fault.LOG_SEEDS, lambda base: base.edit(effective_qsl_rng_seed=1), True, True),
    Spoilt(
        "too few samples loaded",
        Fault.LOG_SAMPLES,
        lambda base: base.edit(effective_performance_sample_count=64),
        True,
        True,
    ),
    Spoilt(
        "too few samples in Offline's query",
        Fault.LOG_QUERY,
        lambda base: base.edit(effective_samples_per_query=1000),
        True,
        True,
    ),
    Spoilt(
        "early stopping not met",
        Fault.LOG_BOUND_MISSED,
        lambda base: base.edit(scenario=_SS, early_stopping_met=False),
        True,
        False,
    ),
    Spoilt("logs of an accuracy run", Fault.LOG_MODE, _swap(Mode.ACCURACY, Mode.PERFORMANCE), True, True),
    Spoilt(
        "logs of a scenario that cannot be inferred from",
        Fault.INFERENCE,
        lambda base: [
            shutil.copyfile(base.logs() / name, base.logs(scenario=_SS) / name) for name in layout.PERFORMANCE_FILES
        ],
        True,
        False,
    ),
    Spoilt("no detail log", Fault.FILE_MISSING, _without(lambda base: base.logs() / layout.DETAIL), True, True),
    Spoilt(
        "detail log cut off",
        Fault.LOG_BROKEN,
        lambda base: (path := base.logs() / layout.DETAIL).write_text(path.read_text()[:-100]),
        True,
        True,
    ),
    # Accuracy.
    Spoilt(
        "accuracy under target",
        Fault.ACCURACY_BELOW,
        lambda base: (path := _accuracy(base) / layout.ACCURACY).write_text(
            path.read_text().replace("accuracy=7", "accuracy=6")
        ),
        True,
        True,
    ),
    Spoilt(
        "no score",
        Fault.ACCURACY_SCORE,
        _text(lambda base: _accuracy(base) / layout.ACCURACY, "accuracy=", "score="),
        True,
        True,
    ),
    Spoilt(
        "no hash",
        Fault.ACCURACY_HASH,
        _text(lambda base: _accuracy(base) / layout.ACCURACY, "hash=", "sha256="),
        True,
        True,
    ),
    Spoilt(
        "accuracy log not truncated",
        Fault.ACCURACY_LOG_LARGE,
        lambda base: (_accuracy(base) / layout.ACCURACY_LOG).write_bytes(b"[\n.......\n" + b" " * 20_000 + b"]"),
        True,
        True,
    ),
    Spoilt(
        "hash of another log",
        Fault.ACCURACY_HASH,
        lambda base: (_accuracy(base) / layout.ACCURACY_LOG).write_text("[]"),
        False,
        False,
    ),
    Spoilt(
        "data set not covered",
        Fault.ACCURACY_COVERAGE,
        lambda base: base.edit(Mode.ACCURACY, qsl_reported_total_count=500, effective_accuracy_sample_count=500),
        True,
        True,
    ),
    Spoilt(
        "errors in the accuracy log", Fault.LOG_ERRORS, lambda base: add_error(base.logs(Mode.ACCURACY)), True, True
    ),
    # The system.
    Spoilt(
        "no description of the system",
        Fault.SYSTEM_MISSING,
        _without(lambda base: base.at(base.organisation.system(SYSTEM))),
        True,
        True,
        Fault.FOLDER_EMPTY,
    ),
    Spoilt("key of the system missing", Fault.SYSTEM_KEY_MISSING, lambda base: base.describe(cooling=None), True, True),
    Spoilt(
        "accelerators as the number 0",
        Fault.SYSTEM_KEY_EMPTY,
        lambda base: base.describe(accelerators_per_node=0),
        True,
        True,
    ),
    Spoilt(
        "accelerators that are no number",
        Fault.SYSTEM_KEY_TYPE,
        lambda base: base.describe(accelerators_per_node="none"),
        True,
        False,
    ),
    Spoilt("status unknown", Fault.SYSTEM_VALUE, lambda base: base.describe(status="soon"), True, True),
    Spoilt(
        "submitter of another folder", Fault.SYSTEM_ELSEWHERE, lambda base: base.describe(submitter="B"), True, True
    ),
    Spoilt("system over a network", Fault.SYSTEM_NETWORK, lambda base: base.describe(is_network="true"), True, True),
    Spoilt(
        "description of a system without results",
        Fault.SYSTEM_UNUSED,
        lambda base: shutil.copyfile(
            base.at(base.organisation.system(SYSTEM)), base.at(base.organisation.system("other"))
        ),
        False,
        True,
    ),
    # What stands beside the logs.
    Spoilt("fact of the model empty", Fault.MEASUREMENTS_KEY, _facts, True, True),
    Spoilt(
        "no user.conf",
        Fault.FILE_MISSING,
        _without(lambda base: base.at(base.entry().measurements) / layout.USER_CONF),
        True,
        True,
    ),
    Spoilt(
        "empty README",
        Fault.FILE_EMPTY,
        _empty(lambda base: base.at(base.entry().measurements) / "README.md"),
        True,
        True,
    ),
    Spoilt("no source", Fault.SOURCE_MISSING, _without(lambda base: base.at(base.organisation.source)), True, True),
    Spoilt(
        "no calibration",
        Fault.CALIBRATION_MISSING,
        _without(lambda base: base.at(base.organisation.documentation)),
        False,
        True,
    ),
    # Scenarios.
    Spoilt(
        "required scenario missing",
        Fault.SCENARIO_MISSING,
        _without(lambda base: base.at(base.entry(Scenario.MULTI_STREAM).results)),
        True,
        True,
    ),
    Spoilt(
        "scenario that the suite has not",
        Fault.SCENARIO_UNKNOWN,
        lambda base: base.at(base.entry().results).rename(base.at(base.entry(Scenario.SERVER).results)),
        True,
        True,
    ),
    Spoilt(
        "benchmark that the round has not",
        Fault.BENCHMARK_UNKNOWN,
        lambda base: base.at(base.entry().results).parent.rename(base.at(base.entry().results).parent.parent / "rnnt"),
        True,
        True,
    ),
    # Compliance tests.
    Spoilt(
        "compliance test missing",
        Fault.TEST_MISSING,
        _without(lambda base: base.at(base.entry().test(_T4))),
        True,
        True,
    ),
    Spoilt(
        "compliance test failed",
        Fault.TEST_FAILED,
        _text(lambda base: base.at(base.entry().test(_T1)) / layout.VERIFIED_PERFORMANCE, "PASS", "FAIL"),
        True,
        True,
    ),
    Spoilt(
        "answers differ and nothing was scored",
        Fault.FILE_MISSING,
        _text(lambda base: base.at(base.entry().test(_T1)) / layout.VERIFIED_ACCURACY, "PASS", "FAIL"),
        True,
        True,
    ),
    Spoilt(
        "compliance test too short",
        Fault.LOG_DURATION,
        lambda base: base.edit(_T4, effective_min_duration_ms=5000),
        True,
        True,
    ),
    Spoilt("compliance test without audit.config", Fault.TEST_OFF, _swap(Mode.PERFORMANCE, _T1), False, False),
    # Names, sizes, links.
    Spoilt(
        "extra file beside logs",
        Fault.FILE_EXTRA,
        lambda base: (base.logs() / "harness.log").write_text("x"),
        False,
        True,
    ),
    Spoilt("hidden file", Fault.NAME_HIDDEN, lambda base: (_src(base) / ".DS_Store").write_text("x"), False, True),
    Spoilt(
        "name with a blank", Fault.NAME_BLANK, lambda base: (_src(base) / "my notes.md").write_text("x"), False, True
    ),
    Spoilt("empty folder", Fault.FOLDER_EMPTY, lambda base: (_src(base) / "void").mkdir(), False, True),
    Spoilt(
        "broken link", Fault.LINK_BROKEN, lambda base: (_src(base) / "gone").symlink_to("/nowhere/at/all"), False, True
    ),
    Spoilt(
        "link out of the tree", Fault.LINK_OUTSIDE, lambda base: (_src(base) / "etc").symlink_to("/etc"), False, False
    ),
    Spoilt(
        "file too large", Fault.FILE_TOO_LARGE, lambda base: _sparse(_src(base) / "big", LARGEST_BYTES + 1), False, True
    ),
    Spoilt("stray file at the root", Fault.STRAY, lambda base: (base.root / "notes.txt").write_text("x"), False, True),
    Spoilt(
        "stray file in the division",
        Fault.STRAY,
        lambda base: (base.root / "closed" / "notes.md").write_text("x"),
        False,
        True,
    ),
    Spoilt(
        "bytecode",
        Fault.BYTECODE,
        lambda base: shutil.copytree(base.logs(), _src(base) / "__pycache__"),
        False,
        True,
    ),
    Spoilt("synthetic results", Fault.SYNTHETIC, _synthetic, False, False),
)
