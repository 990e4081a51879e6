"""Commit of a repository that is checked out in a folder, and whether files were changed since."""

import contextlib
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from mlperf_docker.system import small_file

_LARGEST_REFS = 10_000_000
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_TIME_LIMIT_S = 60


def commit(folder: Path) -> str | None:
    """Return the commit that is checked out, as git's own files have it; git itself need not be installed."""
    with contextlib.suppress(OSError, ValueError):
        place = folder / ".git"
        if place.is_file():  # of a worktree or a submodule
            place = folder / _text(place).removeprefix("gitdir:").strip()
        head = _text(place / "HEAD").strip()
        common = place / _text(place / "commondir").strip() if (place / "commondir").is_file() else place
        found = _ref(common, head.removeprefix("ref:").strip()) if head.startswith("ref:") else head
        return found if _COMMIT.fullmatch(found) else None
    return None


def _ref(place: Path, name: str) -> str:
    """Return what the branch *name* stands at: in a file of its own, or packed. "" where it is unknown."""
    if (place / name).is_file():
        return _text(place / name).strip()
    lines = (line.split() for line in _text(place / "packed-refs").splitlines())
    return next((words[0] for words in lines if words[1:] == [name]), "")


def _text(path: Path) -> str:
    return small_file.read(path, _LARGEST_REFS).decode()


def changed(folder: Path, paths: Iterable[str]) -> bool | None:
    """Whether files that git knows below *paths* are others than the commit's; None where git does not tell."""
    argv = ["git", "-c", "safe.directory=*", "-C", str(folder), "status", "--porcelain", "--untracked-files=no", "--"]
    try:
        done = subprocess.run([*argv, *paths], capture_output=True, check=True, timeout=_TIME_LIMIT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout)
