"""The official submission checkers of a checkout, run on a tree: today's, the one before, and those of older tags."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.rounds import upstream

_FOLDER = "tools/submission"
_NEW, _OLD, _TAGGED = "submission_checker/main.py", "submission_checker_old.py", "submission_checker.py"
_SECONDS = 120
_SUMS_UP = re.compile(r"^SUMMARY|^NoResults|Checks failed for|has issues$")


@dataclass(frozen=True)
class Verdict:
    """Verdict of a checker on a tree."""

    accepted: bool
    output: str

    @property
    def errors(self) -> list[str]:
        """Its messages of errors, without time and place in its source, and without those that sum others up."""
        found = re.findall(r"^.*\bERROR\b\]? (.*)$", self.output, re.MULTILINE)
        return [each for each in found if not _SUMS_UP.search(each)]


def new(tree: Path, version: str) -> Verdict:
    """The verdict of today's checker."""
    return _verdict(upstream.checkout() / _FOLDER / _NEW, tree, version)


def old(tree: Path, version: str) -> Verdict:
    """The verdict of the checker before it, which knows today's layout alone."""
    return _verdict(upstream.checkout() / _FOLDER / _OLD, tree, version)


def tagged(tree: Path, version: str) -> Verdict:
    """The verdict of the checker that the tag of the round has."""
    scratch = tree.with_name(f"{tree.name}-checker")
    scratch.mkdir(exist_ok=True)
    for name in (_TAGGED, "log_parser.py"):
        (scratch / name).write_text(upstream.git("show", f"{version}:{_FOLDER}/{name}"))
    return _verdict(scratch / _TAGGED, tree, version)


def of_round(tree: Path, version: str) -> Verdict:
    """The verdict of the checker that is made for the round: today's, or its tag's."""
    return tagged(tree, version) if version.startswith("v4.") else new(tree, version)


def _verdict(program: Path, tree: Path, version: str) -> Verdict:
    words = [sys.executable, str(program), "--input", str(tree), "--version", version, "--csv", f"{tree}.csv"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    output = done.stdout + done.stderr
    return Verdict(done.returncode == 0 and "submission looks OK" in output, output)
