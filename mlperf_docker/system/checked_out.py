"""Commit of a repository that is checked out in a folder, and whether files were changed since."""

import contextlib
import os
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
    told = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return None if told is None else bool(told)


def files(folder: Path, paths: Iterable[str]) -> list[str] | None:
    """The files below *paths* that are in the commit or staged, as seen from *folder*; None where git does not tell."""
    parts = tuple(paths)
    committed = _git(folder, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *parts)
    staged = _git(folder, "ls-files", "-z", "--", *parts)
    if committed is None or staged is None:
        return None
    return sorted({os.fsdecode(name) for name in (committed + staged).split(b"\0") if name})


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints about the repository in *folder*; None where it cannot be asked, or refuses."""
    argv = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
    try:
        return subprocess.run(argv, capture_output=True, check=True, timeout=_TIME_LIMIT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return None
