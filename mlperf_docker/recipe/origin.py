"""Origin of an image: its base as resolved, and the source commit."""

import subprocess
from dataclasses import dataclass
from functools import cache

from mlperf_docker.system import paths


@dataclass(frozen=True)
class Origin:
    """Origin of an image: its base as resolved, and the source tree that built it."""

    base_reference: str
    base_identity: str
    base_origin: str
    """Local, pulled, bootstrapped or given."""
    revision: str
    """The source commit, or "unknown"."""
    version: str


_GIT_TIMEOUT_S = 5


@cache
def revision() -> str:
    """Return the commit of the checkout that the tool runs from, or "unknown" for an installed wheel."""
    root = paths.checkout()
    if root is None:  # a wheel may lie in somebody else's repository
        return "unknown"
    argv = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
