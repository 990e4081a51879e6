"""Checkout of mlcommons/inference: the submission checkers in it, and its commit."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlperf_docker.errors import UsageError
from mlperf_docker.rounds.round import Round
from mlperf_docker.system import checked_out, folders, small_file

_FOLDER = PurePosixPath("tools/submission")
_HINT = "Make one: git clone https://github.com/mlcommons/inference"
_LARGEST_SOURCE = 2_000_000


@dataclass(frozen=True)
class OfficialChecker:
    """Checker of upstream's. script: relative to the checkout; tables: the file that knows the rounds."""

    name: str
    script: PurePosixPath
    tables: PurePosixPath
    separate: bool
    """Whether it reads trees with measurements/ and compliance/ beside results/."""
    scenario: bool
    """Whether it reads trees with all of a scenario in its own folder."""

    def reads(self, round_: Round) -> bool:
        """Whether it reads trees of the layout of *round_*."""
        return self.separate if round_.layout.is_separate else self.scenario


def _single(name: str, *, separate: bool) -> OfficialChecker:
    script = _FOLDER / name
    return OfficialChecker(script.stem, script, script, separate, not separate)


CHECKERS = (
    OfficialChecker(
        "submission_checker",
        _FOLDER / "submission_checker/main.py",
        _FOLDER / "submission_checker/constants.py",
        separate=True,
        scenario=True,
    ),
    _single("submission_checker_old.py", separate=False),
    _single("submission_checker.py", separate=True),
    _single("submission-checker.py", separate=True),
)
"""Today's package and the script before it, then the scripts of the tags up to v5.1."""


@dataclass(frozen=True)
class Checkout:
    """Checkout with at least one checker. commit: None where it cannot be told."""

    folder: Path
    commit: str | None
    checkers: tuple[OfficialChecker, ...]

    @property
    def title(self) -> str:
        """The checkout by its commit."""
        return f"mlcommons/inference {self.commit[:12] if self.commit else 'of an unknown commit'}"

    def knows(self, checker: OfficialChecker, round_: Round) -> bool:
        """Whether *checker* has a table of *round_*."""
        source = small_file.read(self.folder / checker.tables, _LARGEST_SOURCE).decode(errors="replace")
        return re.search(rf'^ +"{re.escape(round_.name)}": \{{', source, re.MULTILINE) is not None


def find(folder: Path) -> Checkout:
    """Look for checkers in *folder*. Raises UsageError where there are none."""
    folders.require(folder, "checkout", missing=_HINT, other=_HINT)
    found = tuple(each for each in CHECKERS if (folder / each.script).is_file())
    if not found:
        raise UsageError(
            f"{folder} is no checkout of mlcommons/inference: {_FOLDER} has no submission checker.", hint=_HINT
        )
    return Checkout(folder, checked_out.commit(folder), found)
