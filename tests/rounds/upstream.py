"""Checkout of mlcommons/inference that MLPERF_INFERENCE names, as tests read it: constants, LoadGen's settings."""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "MLPERF_INFERENCE"
_CONSTANTS = "tools/submission/submission_checker/constants.py"
_OLD_CHECKER = "tools/submission/submission_checker.py"
_SECONDS = 60
_TAGGED = ("v4.0", "v4.1")
"""Rounds whose checker only the tag of that name has."""
SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")


def checkout() -> Path:
    """The checkout; skips the test where none is named."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        pytest.skip(f"{VARIABLE} names no checkout of mlcommons/inference")
    return Path(named)


def git(*words: str) -> str:
    """What git says of the checkout; skips the test where it has not that history."""
    found = subprocess.run(
        ["git", "-C", str(checkout()), *words], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if found.returncode:
        pytest.skip(f"the checkout that {VARIABLE} names: {found.stderr.strip()}")
    return found.stdout


@functools.cache
def constants(name: str) -> dict[str, Any]:
    """The constants of the round *name*."""
    program = Path(__file__).with_name("checker_constants.py")
    with tempfile.TemporaryDirectory() as scratch:
        words = [sys.executable, str(program), str(_module(name, Path(scratch))), name]
        found = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=True)
    constants_: dict[str, Any] = json.loads(found.stdout)
    return constants_


def _module(name: str, scratch: Path) -> Path:
    """The module with its constants, of a tag in *scratch*."""
    if name not in _TAGGED:
        return checkout() / _CONSTANTS
    for file in (_OLD_CHECKER, str(Path(_OLD_CHECKER).with_name("log_parser.py"))):
        (scratch / Path(file).name).write_text(git("show", f"{name}:{file}"))
    return scratch / Path(_OLD_CHECKER).name


def mlperf_conf(revision: str) -> dict[str, str]:
    """LoadGen's settings at a *revision*, `bert.Server.target_latency` → 130."""
    files = git("ls-tree", "--name-only", revision, "loadgen/mlperf.conf", "mlperf.conf").split()
    lines = re.findall(r"^([^#\s]+)\s*=\s*(\S+)", git("show", f"{revision}:{files[0]}"), re.MULTILINE)
    return dict(lines)


@functools.cache
def loadgen_seeds() -> dict[str, dict[str, int]]:
    """Versions of LoadGen → the seeds in them, from the history; those before 4.1.30 did not read them."""
    found = {}
    for revision in git("log", "--format=%h", "--", "loadgen/VERSION.txt").split():
        if not git("ls-tree", "--name-only", revision, "loadgen/mlperf.conf"):
            continue
        settings = mlperf_conf(revision)
        version = git("show", f"{revision}:loadgen/VERSION.txt").strip()
        found[version] = {name: int(settings[f"*.*.{name}"]) for name in SEEDS}
    return found
